"""A server double for your own tests: a real App Server protocol on a loopback port.

::

    from letta_app_client.testing import MockServer, script

    with MockServer([script.turn(text="42")]) as mock:
        ...  # connect to mock.url
        mock.assert_received("input", times=1)

It has a thread of its own, so it works in blocking code and on every event loop.
"""

from . import script
from .server import MockServer, Terminated

__all__ = ["MockServer", "Terminated", "script"]
