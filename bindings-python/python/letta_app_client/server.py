"""An App Server that this program starts, on loopback, and that ends with it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from . import _native
from ._checks import expect, expect_path, expect_text
from ._handlers import expect_plain, expect_taking
from ._limits import limit
from ._loops import running_loop
from ._pending import Pending
from ._serverlog import TAKES, ServerLog
from ._uncopied import Uncopied
from ._unpack import Unpack
from .errors import ForkedProcess, InvalidOption, ServerStartError, WrongLoop
from .options import ConnectOptions, ConnectSettings

__all__ = ["OwnServer", "ServerExit", "Spawning", "spawn_server"]


@dataclass(frozen=True)
class ServerExit:
    """How a server has ended. Neither is known of a joined one, of whose end nothing is told.

    Attributes:
        code: The code that it ended with by itself.
        signal: The number of the signal that ended it. A code from 129 to 192 stands for a signal
            too, as in a shell.
    """

    code: int | None
    signal: int | None


class OwnServer(Uncopied):
    """A running server, from ``spawn_server``.

    Pass it to ``connect``. The server ends when it is closed, when its ``async with`` block is
    left, when nothing refers to this object any more, and when this process ends, however that
    happens (on Windows only when it exits normally). A client that was made for it refers to it
    until the client is closed.
    """

    _instead = "pickle its options(), which are ConnectOptions"

    def __init__(self, native: _native.Server, log: ServerLog | None = None) -> None:
        """Use ``spawn_server``."""
        self._native = native
        self._log = log
        self._pid = os.getpid()

    @property
    def url(self) -> str:
        """Where it listens: ``ws://127.0.0.1:PORT``."""
        return self._native.url

    @property
    def token(self) -> str | None:
        """The token that clients need; it appears in no log, error or repr."""
        return self._native.token

    @property
    def joined(self) -> bool:
        """Whether this is another program's server; closing it here lets that server go on."""
        return self._native.joined

    def options(self, **settings: Unpack[ConnectSettings]) -> ConnectOptions:
        """Returns the options for a client of this server, including its token.

        They can be pickled for a worker process, which then makes a client of its own. Sends
        nothing.

        Args:
            **settings: The other fields of ``ConnectOptions``.

        Raises:
            InvalidOption: A setting has an unusable value.
        """
        given: ConnectSettings = {"token": self.token, **settings}
        return ConnectOptions(url=self.url, **given)

    def output(self) -> list[str]:
        """Returns the last lines that it printed, the oldest first; also once it is closed."""
        return self._native.output()

    def exited(self) -> ServerExit | None:
        """Returns how it has ended, or ``None`` while it runs, and always of a joined server.

        Never waits; sends nothing.
        """
        exited = self._native.exited()
        return None if exited is None else ServerExit(*exited)

    async def wait_exited(self) -> ServerExit:
        """Waits until the server has ended and its last lines were read, and returns how.

        Returns whichever way it ended: by itself, by a signal, or because it was closed; at once if
        it has ended already. Cancelling ends the wait, and nothing else. Sends nothing.

        Of a joined server nothing is told: this returns, with ``None`` for both, when it is closed
        here, while the server may go on.

        Raises:
            ForkedProcess: The server belongs to a parent process.
        """
        if os.getpid() != self._pid:
            raise ForkedProcess("the server was started in another process")
        end = self._native.end()
        try:
            code, signal = await _in_thread(end.wait)
        finally:
            # Cancelled: the thread goes at once.
            end.stop()
        return ServerExit(code, signal)

    async def close(self) -> None:
        """Ends the server and waits for it, for 5 s at most. May be called again.

        Cancelling does not keep the server alive. By the time this returns, ``on_log`` has had the
        last line.
        """
        if os.getpid() != self._pid:
            return  # after a fork it is the parent's
        await _in_thread(self._native.close)
        if self._log is not None:
            await self._log.wait_over()

    def close_nowait(self) -> None:
        """Ends the server without waiting for it; for other threads and for clean-up code."""
        if os.getpid() != self._pid:
            return
        close = self._native.close
        threading.Thread(target=close, name="letta-app-client-close", daemon=True).start()

    async def __aenter__(self) -> OwnServer:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<OwnServer {self.url}{' joined' if self.joined else ''}>"


class Spawning(Pending[OwnServer]):
    """What ``spawn_server`` returns: to be awaited, or used with ``async with``."""

    def __init__(
        self,
        start: Callable[[], _native.ServerStart],
        on_log: Callable[[str], object] | None = None,
    ) -> None:
        """Use ``spawn_server``."""
        self._start = start
        self._on_log = on_log

    async def _open(self) -> OwnServer:
        log = None if self._on_log is None else ServerLog(self._on_log)
        lines = None if log is None else log.native
        start = self._start()
        try:
            # One that has started when nobody waits for it any more ends with its last reference.
            return OwnServer(await _in_thread(lambda: start.run(lines)), log)
        except ServerStartError:
            if log is not None:
                await log.wait_over()
            raise
        finally:
            # Cancelled: the thread need not wait until the server answers. Otherwise it is over.
            start.stop()


def spawn_server(
    command: Sequence[str] = ("letta", "server"),
    *,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    auth: bool | None = True,
    reuse: bool | None = False,
    ready_timeout: float = 30,
    on_log: Callable[[str], object] | None = None,
) -> Spawning:
    """Starts an App Server and waits until it answers.

    ``server = await spawn_server()``, or ``async with spawn_server() as server:``, which ends the
    server with the block. The command is never a shell's own, and is run with ``--listen ws://127.0.0.1:0``
    and the hash of a token that is made for this server (protocol section 4); then ``/readyz`` is
    polled (section 3). Cancelling ends the server.

    Args:
        command: The program and its arguments; the arguments above are added.
        cwd: The directory that the server runs in.
        env: Environment variables, in addition to those of this process.
        auth: Whether clients need a token. Without one, every program on the machine could use the
            server. ``None`` means the default; the same goes for ``reuse``.
        reuse: Whether to join a server that any program of the same user has started with this
            option, if there is one. While another program is starting it, that is waited for, for
            ``ready_timeout`` at most; then one is started that is not shared. A joined server ends
            with its owner, not here; nothing is told of its end, and its clients connect again.
        ready_timeout: Seconds in which the server has to answer.
        on_log: A function that is called with every line that the server prints, on either of its
            outputs, from its start on. It is called on the loop's thread, with the line without its
            line break. A line of more than 64 KiB comes in pieces. An exception in the function is
            logged. If the loop lags more than 65,536 lines or 64 MiB behind, the oldest lines are
            dropped, and a line says how many. The lines of a joined server go only to its owner.

    Raises:
        InvalidOption: An option has an unusable value; raised at once, not when awaited, except for
            a ``cwd`` that does not exist.
        TypeError: ``on_log`` is not a plain function that takes a line; raised at once as well.
        ServerStartError: The server did not start; the message has the end of what it printed.
    """
    if isinstance(command, str) or not command:
        raise InvalidOption("command: expected a program and its arguments as a list of strings")
    for part in command:
        expect_text("command", part)
    if on_log is not None:
        expect_plain("on_log", on_log)
        expect_taking("on_log", on_log, TAKES)
    flags = {"auth": True if auth is None else auth, "reuse": False if reuse is None else reuse}
    for name, flag in flags.items():
        expect(name, flag, "True or False", (bool,))
    seconds = limit("ready_timeout", ready_timeout) or 1e9
    pairs = _variables(env)
    folder = None if cwd is None else expect_path("cwd", cwd)

    def start() -> _native.ServerStart:
        asked = (flags["auth"], seconds, flags["reuse"])
        return _native.ServerStart(list(command), folder, pairs, *asked)

    # For what the engine checks: now, and not when it is awaited.
    start()
    return Spawning(start, on_log)


def _variables(env: Mapping[str, str] | None) -> list[tuple[str, str]]:
    """Checks that variables are texts. The messages have no values: one may be a key.

    Raises:
        InvalidOption: One is not.
    """
    if env is None:
        return []
    expect("env", env, "a mapping of texts", (Mapping,))
    for name, value in env.items():
        expect_text("env", name)
        expect_text(f"env.{name}", value)
    return list(env.items())


async def _in_thread(function: Callable[[], Any]) -> Any:
    """Runs a function that waits, on whichever loop this is."""
    loop = running_loop()
    if loop is None:
        raise WrongLoop("no asyncio or trio event loop is running")
    completion = loop.completion()

    def work() -> None:
        value, errors = None, []
        try:
            value = function()
        except BaseException as error:  # noqa: BLE001 - it is the waiter's
            errors.append(error)
        # The loop may have ended, and with it whoever waited.
        with contextlib.suppress(RuntimeError):
            loop.from_thread(lambda: completion.set_result((value, errors)))

    threading.Thread(target=work, name="letta-app-client-wait", daemon=True).start()
    value, errors = await completion.wait()
    if errors:
        raise errors.pop()
    return value
