"""What a thread or a task of a blocking client waits for."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Protocol

__all__ = ["BlockingCompletion"]


class _Loop(Protocol):
    def soon(self, callback: Callable[[], None]) -> None:
        """Calls back, in one of the threads that look for deliveries."""

    def nudge(self) -> None:
        """Lets the thread that looks for deliveries look around, if that is another one."""


class BlockingCompletion:
    """One outcome that a thread waits for."""

    __slots__ = ("_loop", "_value", "done", "signal", "then", "thread")

    def __init__(self, loop: _Loop) -> None:
        self._loop = loop
        self._value: Any = None
        self.done = False
        # Held while a thread sleeps that does not look for deliveries itself.
        self.signal: threading.Lock | None = None
        self.thread = 0
        # What goes on then, besides or instead of a thread.
        self.then: Callable[[], None] | None = None

    def set_result(self, value: Any) -> None:
        if self.done:
            return
        self._value = value
        self.done = True
        if self.then is not None:
            self._loop.soon(self.then)
        if self.signal is not None:
            self.wake()
        else:
            self._loop.nudge()

    def wake(self) -> None:
        """Ends the sleep."""
        signal, self.signal = self.signal, None
        if signal is not None:
            signal.release()

    def __await__(self) -> Generator[BlockingCompletion, None, Any]:
        if not self.done:
            yield self
        return self._value

    def wait(self) -> Awaitable[Any]:
        return self
