"""What a thread or a task of a blocking client waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any, Protocol

__all__ = ["BlockingCompletion"]


class _Loop(Protocol):
    def soon(self, callback: Callable[[], None]) -> None:
        """Calls back, in one of the threads that look for deliveries."""

    def nudge(self) -> None:
        """Lets the thread that looks for deliveries look around, if that is another one."""


class BlockingCompletion:
    """One outcome that a thread waits for."""

    __slots__ = ("_error", "_loop", "_value", "done", "signal", "then", "thread")

    def __init__(self, loop: _Loop) -> None:
        self._loop = loop
        self._value: Any = None
        self._error: BaseException | None = None
        self.done = False
        # Held while a thread sleeps that does not look for deliveries itself.
        self.signal: threading.Lock | None = None
        self.thread = 0
        # What goes on then, besides or instead of a thread.
        self.then: Callable[[], None] | None = None

    def set_result(self, value: Any) -> None:
        if not self.done:
            self._value = value
            self._settle()

    def set_exception(self, error: BaseException) -> None:
        if not self.done:
            self._error = error
            self._settle()

    def _settle(self) -> None:
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
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                # The error's traceback leads here, and a cycle would keep the client.
                del error
        return self._value

    async def wait(self) -> Any:
        return await self
