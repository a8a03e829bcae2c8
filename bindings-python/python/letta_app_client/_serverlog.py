"""Hands the lines that a server prints to a function, on the event loop."""

from __future__ import annotations

from collections.abc import Callable

from . import _native
from ._handlers import Handlers
from ._loops import Loop, running_loop
from .errors import WrongLoop

__all__ = ["TAKES", "ServerLog"]

TAKES = ("the line",)
"""What its function is called with."""

_BATCH = 1000
"""How many lines are handed on before other tasks of the loop have their turn."""
_LINGER = 2.0
"""Seconds to wait for the last lines of a server that has ended."""


class ServerLog:
    """The way of a server's lines to a function; it ends by itself after the last one."""

    def __init__(self, on_log: Callable[[str], object]) -> None:
        """Begins to listen, on the loop of the caller.

        Raises:
            WrongLoop: No asyncio or trio event loop is running.
        """
        loop = running_loop()
        if loop is None:
            raise WrongLoop("no asyncio or trio event loop is running")
        self._loop: Loop = loop
        self._handlers: Handlers[[str]] = Handlers("on_log", *TAKES)
        self._handlers.add(on_log)
        self._over: list[Callable[[], None]] | None = []
        self.native = _native.ServerLog()
        loop.attach(self.native.fileno(), self._bell)

    async def wait_over(self) -> None:
        """Waits for the last line, but not for long: who started the server may hold its output."""
        here = running_loop()
        if self._over is None or here is None or here.key != self._loop.key:
            return
        completion = here.completion()

        def finish() -> None:
            completion.set_result(None)

        self._over.append(finish)
        here.later(_LINGER, finish)
        await completion.wait()

    def _bell(self) -> None:
        if self._over is None:
            return
        lines, is_over = self.native.drain(_BATCH)
        if is_over:
            waiting, self._over = self._over, None
            self._loop.detach()
            self.native.hang_up()
            # After the last lines were handed on.
            for finish in waiting:
                self._loop.soon(finish)
        elif len(lines) == _BATCH:
            self._loop.soon(self._bell)
        for line in lines:
            self._handlers.emit(line)
