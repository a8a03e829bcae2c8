"""Terminals on the server (protocol sections 19 and 20.8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from types import TracebackType
from typing import Any

from . import _families
from ._backlog import MAX_ITEMS
from ._family import UNSET
from ._filters import Wanted
from ._limits import Timeout
from ._link import Link
from ._subscription import Inbox
from ._uncopied import Uncopied
from .errors import LettaAppError
from .messages import Message
from .protocol import TerminalExitedMessage, TerminalOutputMessage

__all__ = ["Terminal", "Terminals"]

TAIL = 0.25
"""Seconds in which output may still come after the exit was reported, or after a kill."""


class Terminals(_families.Terminals):
    """The commands of the family ``terminals``: ``client.terminals``; see ``Family``."""

    __slots__ = ()

    def open(
        self,
        *,
        cols: int = 80,
        rows: int = 24,
        cwd: str | None = None,
        timeout: Timeout = "default",
    ) -> Terminal:
        """Returns a terminal that starts when it is awaited, or with ``async with``.

        Args:
            cols: Its width in characters.
            rows: Its height in characters.
            cwd: A directory on the server; by default the one in which the server runs.
            timeout: Seconds to wait until it runs.
        """
        return Terminal(self._link, self, cols=cols, rows=rows, cwd=cwd, timeout=timeout)


class Terminal(Uncopied, AsyncIterator[str]):
    r"""A terminal that runs on the server; ``client.terminals.open`` makes it.

    ::

        async with client.terminals.open(cwd="/project") as terminal:
            terminal.write("make test; exit\n")
            async for text in terminal:
                print(text, end="")
        print(terminal.exit_code)

    ``await client.terminals.open()`` starts it as well. Both send ``terminal_spawn``, resolve when
    it runs, and raise what methods of families raise; ``RequestError`` when it cannot be started.
    Leaving the block, ``aclose``, or dropping it kills what still runs.

    Iterating gives the output in pieces, from the start, including escape sequences. It ends 0.25 s
    after the exit (output may still follow the exit on the wire), or when the client is closed; if
    the connection is lost, it raises ``Disconnected``. Cancelling a task that waits loses no
    output.
    """

    def __init__(
        self,
        link: Link,
        commands: _families.Terminals,
        *,
        cols: int,
        rows: int,
        cwd: str | None,
        timeout: Timeout,
    ) -> None:
        """Use ``client.terminals.open``."""
        self._runs = False
        self._link = link
        self._commands = commands
        self._start = (cols, rows, UNSET if cwd is None else cwd, timeout)
        self._id = ""
        self._inbox: Inbox | None = None
        self._started = False
        self._exit_code: int | None = None
        self._pid: int | None = None
        self._tail = False
        self._over = False

    @property
    def terminal_id(self) -> str:
        """Its id among those of this connection; empty before it was started."""
        return self._id

    @property
    def pid(self) -> int | None:
        """The process id of its shell on the server; ``None`` before it was started."""
        return self._pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code, once iterating has seen the exit; a killed terminal has none."""
        return self._exit_code

    @property
    def dropped(self) -> int:
        """How many pieces of output were dropped, the oldest first, because they were not read."""
        return 0 if self._inbox is None else self._inbox.dropped

    def write(self, text: str) -> None:
        r"""Types text: ``terminal_input``. A line ends with ``\n``. Does not wait."""
        self._expect_start()
        self._commands.input(terminal_id=self._id, data=text)

    def resize(self, cols: int, rows: int) -> None:
        """Changes the size in characters: ``terminal_resize``. Does not wait."""
        self._expect_start()
        self._commands.resize(terminal_id=self._id, cols=cols, rows=rows)

    def kill(self) -> None:
        """Ends it: ``terminal_kill``. Does not wait; the exit is not reported then."""
        self._expect_start()
        self._runs = False
        self._commands.kill(terminal_id=self._id)
        self._begin_tail()

    async def aclose(self) -> None:
        """Kills it if it runs, and throws away what was not read. Does not wait."""
        self._leave()

    def __await__(self) -> Generator[Any, Any, Terminal]:
        return self._spawn().__await__()

    async def __aenter__(self) -> Terminal:
        return await self._spawn()

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def __aiter__(self) -> Terminal:
        return self

    async def __anext__(self) -> str:
        while self._inbox is not None:
            message = await self._inbox.next(lambda: self._over)
            if isinstance(message, TerminalOutputMessage):
                return message.data
            if not isinstance(message, TerminalExitedMessage):
                break
            self._runs = False
            self._exit_code = _whole(message.get("exitCode"))
            self._begin_tail()
        raise StopAsyncIteration

    async def _spawn(self) -> Terminal:
        if self._started:
            return self
        if self._inbox is not None:
            raise RuntimeError("another task is starting this terminal, or its start failed")
        self._id = terminal_id = self._link.native.next_request_id("terminal")
        wanted = Wanted(("terminal_output", "terminal_exited"), None)

        def is_mine(message: Message) -> bool:
            return wanted(message) and message.get("terminal_id") == terminal_id

        # Before it runs: its first output may come right behind the answer.
        self._inbox = Inbox(self._link, is_mine, MAX_ITEMS, of_connection=True)
        cols, rows, cwd, timeout = self._start
        self._runs = True
        try:
            spawned = await self._commands.spawn(
                terminal_id=terminal_id, cols=cols, rows=rows, cwd=cwd, timeout=timeout
            )
        except BaseException:
            # It may run by now, with nobody to end it.
            self._leave()
            raise
        self._pid = _whole(spawned.get("pid"))
        self._started = True
        return self

    def _expect_start(self) -> None:
        if not self._started:
            raise RuntimeError("the terminal was not started; await it, or use `async with`")

    def _begin_tail(self) -> None:
        bridge, inbox = self._link.bridge, self._inbox
        loop = bridge.loop
        if self._tail or loop is None or inbox is None:
            return
        self._tail = True

        def end() -> None:
            self._over = True
            inbox.wake()

        def begin() -> None:
            loop.later(TAIL, end)

        # It may be killed from a thread, whose timer the loop would not see.
        bridge.on_loop(begin)

    def _leave(self) -> None:
        if self._inbox is not None:
            self._inbox.leave()
        if not self._runs:
            return
        self._runs = False
        try:
            self._commands.kill(terminal_id=self._id)
        except LettaAppError:
            # Without a connection it has ended anyway.
            return

    def __del__(self) -> None:
        self._leave()

    def __repr__(self) -> str:
        return f"<Terminal {self._id or 'not started'}>"


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
