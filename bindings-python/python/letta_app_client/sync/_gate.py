"""The lock of one blocking client."""

from __future__ import annotations

import threading

__all__ = ["Gate"]


class Gate:
    """A lock that its holder may enter again, and give up altogether while it waits.

    Whoever holds it runs the client's own code, which is written for one event loop and knows of no
    other threads.
    """

    __slots__ = ("_depth", "_holder", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder = 0
        self._depth = 0

    def enter(self, depth: int = 1) -> None:
        """Enters it, waiting for other threads; as often at once as ``give_up`` has said."""
        me = threading.get_ident()
        if self._holder != me:
            self._lock.acquire()
            self._holder = me
        self._depth += depth

    def leave(self) -> None:
        """Leaves it once."""
        self._depth -= 1
        if self._depth == 0:
            self._holder = 0
            self._lock.release()

    def give_up(self) -> int:
        """Leaves it as often as it was entered, and says how often that was."""
        depth, self._depth = self._depth, 0
        self._holder = 0
        self._lock.release()
        return depth
