"""The end of the interpreter: the engine's thread ends with it, so what was given leaves before."""

from __future__ import annotations

import atexit

from . import _native
from ._loops import logger

__all__ = ["leave"]


def leave() -> None:
    """Lets what was sent, detached or given up a moment ago leave, and warns of what has not.

    It takes 0.2 s at most, and no time where nothing waits. In a forked child only the child's own
    clients count; one that ends with ``os._exit``, as forked workers of ``multiprocessing`` do,
    does not get here.
    """
    unsent = _native.leave()
    if unsent:
        words = "the program ends, and commands that nobody waited for were not sent: %d"
        logger.warning(words, unsent)


# With the import: whatever a program does at its end, after it has imported this, comes before.
atexit.register(leave)
