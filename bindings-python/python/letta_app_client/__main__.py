"""The command ``letta-app``, also ``python -m letta_app_client``; ``--help`` tells what it does."""

from __future__ import annotations

import os
import signal
import sys

from . import _native

__all__ = ["main"]


def _open_standard_streams() -> None:
    """Opens what the caller has closed (``>&-``).

    Else a connection or a file gets its number, and the output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # It gets the lowest number that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)


def main() -> None:
    """Runs the command of the process's arguments and ends the process."""
    _open_standard_streams()
    # The command has a handler of its own, which stops the turn; this is for the time before.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_native.cli(sys.argv[1:]))


if __name__ == "__main__":
    main()
