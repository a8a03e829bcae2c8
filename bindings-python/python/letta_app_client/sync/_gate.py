"""The lock of one blocking client."""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["Gate"]


class Gate:
    """A lock that its holder may enter again, and give up altogether while it waits.

    Whoever holds it runs the client's own code, which is written for one event loop and knows of no
    other threads.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        # What `threading.Condition` needs of a lock is what is needed here.
        self._lock: Any = threading.RLock()

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread holds it."""
        return bool(self._lock._is_owned())  # noqa: SLF001

    def enter(self) -> None:
        """Enters it, waiting for other threads."""
        self._lock.acquire()

    def enter_now(self) -> bool:
        """Enters it unless another thread has it, and says whether it did."""
        return bool(self._lock.acquire(blocking=False))

    def leave(self) -> None:
        """Leaves it once."""
        self._lock.release()

    def give_up(self) -> Any:
        """Leaves it as often as it was entered, and returns what ``take_back`` needs."""
        return self._lock._release_save()  # noqa: SLF001

    def take_back(self, state: Any) -> None:
        """Enters it as often as it was given up."""
        self._lock._acquire_restore(state)  # noqa: SLF001
