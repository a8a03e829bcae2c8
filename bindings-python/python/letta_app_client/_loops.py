"""The event loops: how each is told that deliveries wait, and how a coroutine waits on it."""

from __future__ import annotations

import contextvars
import logging
import select
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "AsyncioLoop",
    "Completion",
    "Loop",
    "TrioLoop",
    "contained",
    "driving",
    "logger",
    "running_key",
    "running_loop",
]

logger = logging.getLogger("letta_app_client")


class _Driving(threading.local):
    # Of the class: an attribute that a thread lacks costs an exception whenever it is asked for.
    loop: Loop | None = None


driving = _Driving()
"""``loop`` is the one that a blocking call stands in for, in the thread that makes the call."""


class Completion(Protocol):
    """One outcome that a coroutine waits for. The first one set counts.

    An error is an outcome as well, in a list: whoever waits takes it out to raise it, for the
    error's traceback leads to the completion, and a cycle would keep the client.
    """

    def set_result(self, value: Any) -> None:
        """Ends the wait."""

    def wait(self) -> Awaitable[Any]:
        """Waits for the outcome."""


class Loop(Protocol):
    """One running event loop."""

    key: object
    """What is the same for the same loop."""

    cancelled: type[BaseException]
    """What a cancelled task raises."""

    def is_running(self) -> bool:
        """Whether it certainly runs the caller; where it does not say so, ``running_key`` may."""

    def admits(self) -> bool:
        """Whether the caller, whom no other loop runs, may begin what is to be waited for here.

        Not while the loop runs in another thread, and not when it has ended; between two of its
        runs, whoever is its only user may.
        """

    def attach(self, fd: int, callback: Callable[[], None]) -> None:
        """Calls back on the loop's thread whenever the descriptor is readable."""

    def detach(self) -> None:
        """Ends that."""

    def attend(self) -> None:
        """Calls back even while nobody waits, where that is not so anyway."""

    def soon(self, callback: Callable[[], None]) -> None:
        """Calls back after all tasks that are ready by now have had their turn."""

    def later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], object]:
        """Calls back after so many seconds, if the loop still runs; returns what cancels it."""

    def from_thread(self, callback: Callable[[], None]) -> None:
        """Calls back on the loop's thread; raises ``RuntimeError`` when the loop has ended."""

    def completion(self) -> Completion:
        """Returns something to wait for on this loop."""

    def spawn(
        self, function: Callable[[], Awaitable[None]], context: contextvars.Context
    ) -> Callable[[], object]:
        """Runs a function of the program as a task of its own; returns what cancels it."""

    def start(self, function: Callable[[], Awaitable[None]]) -> Callable[[], object]:
        """Runs a function of this package as a task of its own; returns what cancels it."""


def running_key() -> object | None:
    """Returns the key of the loop that runs the caller, if one does; trio is never imported."""
    # A blocking call may be made while a loop runs.
    if driving.loop is not None:
        return driving.loop.key
    trio = sys.modules.get("trio")
    if trio is not None:
        # In trio's guest mode an asyncio loop is running as well, so trio is asked first.
        try:
            trio.lowlevel.current_task()
        except (AttributeError, RuntimeError):
            pass
        else:
            token: object = trio.lowlevel.current_trio_token()
            return token
    # Half of what importing this package would take; and where it was not imported, no loop runs.
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        loop: object = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop


def running_loop() -> Loop | None:
    """Returns the loop that runs the caller, if one does."""
    blocking = driving.loop
    key: Any = running_key()
    if blocking is not None or key is None:
        return blocking
    trio = sys.modules.get("trio")
    if trio is not None and isinstance(key, getattr(trio.lowlevel, "TrioToken", ())):
        return TrioLoop(trio)
    return AsyncioLoop(key)


class _AsyncioCompletion:
    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self._future = future

    def set_result(self, value: Any) -> None:
        if not self._future.done():
            self._future.set_result(value)

    def wait(self) -> Awaitable[Any]:
        return self._future


class AsyncioLoop:
    """asyncio's loops and those that behave like them, such as uvloop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.key: object = loop
        self.cancelled: type[BaseException] = sys.modules["asyncio"].CancelledError
        self._loop = loop
        self._fd = -1
        self._watcher: _Watcher | None = None
        # Made with the first: most clients never have one.
        self._tasks: set[asyncio.Task[None]] | None = None
        self._running: Callable[[], object] = sys.modules["asyncio"]._get_running_loop  # noqa: SLF001

    def is_running(self) -> bool:
        # The same as ``running_key``, for who asks with each call.
        return self._running() is self._loop and "trio" not in sys.modules and driving.loop is None

    def admits(self) -> bool:
        loop = self._loop
        return self._running() is loop or not (loop.is_running() or loop.is_closed())

    def attach(self, fd: int, callback: Callable[[], None]) -> None:
        self._fd = fd
        try:
            self._loop.add_reader(fd, callback)
        except NotImplementedError:
            # The Proactor loop of Windows watches no sockets.
            self._watcher = _Watcher(self._loop, fd, callback)
            return
        kernels = sys.modules.get("ipykernel.kernelbase")
        # Others may have imported it as well; a kernel is what matters.
        if kernels is not None and kernels.Kernel.initialized():
            from ._wakeup import wake_with_signals  # noqa: PLC0415 - for notebooks alone

            wake_with_signals(self._loop)

    def detach(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
        elif not self._loop.is_closed():
            self._loop.remove_reader(self._fd)

    def attend(self) -> None:
        return

    def soon(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon(callback)

    def later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], object]:
        return self._loop.call_later(seconds, callback).cancel

    def from_thread(self, callback: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(callback)

    def completion(self) -> Completion:
        return _AsyncioCompletion(self._loop.create_future())

    def spawn(
        self, function: Callable[[], Awaitable[None]], context: contextvars.Context
    ) -> Callable[[], object]:
        async def run() -> None:
            await function()

        task: asyncio.Task[None] = context.run(self._loop.create_task, run())
        # The loop itself holds tasks weakly.
        if self._tasks is None:
            self._tasks = set()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task.cancel

    def start(self, function: Callable[[], Awaitable[None]]) -> Callable[[], object]:
        return self.spawn(function, contextvars.copy_context())


class _Watcher:
    """A thread that watches one descriptor for a loop that cannot."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, fd: int, callback: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._fd = fd
        self._callback = callback
        self._stopped = False
        self._drained = threading.Event()
        threading.Thread(target=self._run, name="letta-app-client-watch", daemon=True).start()

    def stop(self) -> None:
        self._stopped = True
        self._drained.set()

    def _run(self) -> None:
        while not self._stopped:
            try:
                select.select([self._fd], [], [])
            except (OSError, ValueError):
                return  # the client is closed
            self._drained.clear()
            try:
                self._loop.call_soon_threadsafe(self._call)
            except RuntimeError:
                return  # the loop is closed
            self._drained.wait()

    def _call(self) -> None:
        try:
            if not self._stopped:
                self._callback()
        finally:
            self._drained.set()


class _TrioCompletion:
    def __init__(self, trio: Any) -> None:
        self._event = trio.Event()
        self._value: Any = None

    def set_result(self, value: Any) -> None:
        if not self._event.is_set():
            self._value = value
            self._event.set()

    async def wait(self) -> Any:
        await self._event.wait()
        return self._value


class TrioLoop:
    """One run of trio. Its tasks here are system tasks: they end with the run.

    An exception that leaves a system task, even ``SystemExit``, ends the whole run with
    ``TrioInternalError``. So none does: what nobody has dealt with is logged.
    """

    def __init__(self, trio: Any) -> None:
        self.key: object = trio.lowlevel.current_trio_token()
        self.cancelled: type[BaseException] = trio.Cancelled
        self._token: Any = self.key
        self._trio = trio
        self._thread = threading.get_ident()
        self._scope: Any = None

    def is_running(self) -> bool:
        return False

    def admits(self) -> bool:
        if threading.get_ident() != self._thread:
            return False
        if running_key() == self.key:
            return True
        # A guest between two of its turns, or a run that has ended.
        try:
            self._token.run_sync_soon(_nothing)
        except self._trio.RunFinishedError:
            return False
        return True

    def attach(self, fd: int, callback: Callable[[], None]) -> None:
        self._scope = scope = self._trio.CancelScope()

        async def watch() -> None:
            with scope:
                # Once it is detached the descriptor may be closed, or another one.
                while not scope.cancel_called:
                    await self._trio.lowlevel.wait_readable(fd)
                    contained(callback)

        self._trio.lowlevel.spawn_system_task(watch, name="letta-app-client")

    def detach(self) -> None:
        self._scope.cancel()

    def attend(self) -> None:
        return

    def soon(self, callback: Callable[[], None]) -> None:
        async def call() -> None:
            # A new task runs among those that are ready, in any order; after this it is the last.
            await self._trio.lowlevel.cancel_shielded_checkpoint()
            contained(callback)

        self._trio.lowlevel.spawn_system_task(call, name="letta-app-client")

    def later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], object]:
        scope = self._trio.CancelScope()

        async def call() -> None:
            with scope:
                await self._trio.sleep(seconds)
                contained(callback)

        self._trio.lowlevel.spawn_system_task(call, name="letta-app-client")
        return scope.cancel  # type: ignore[no-any-return]

    def from_thread(self, callback: Callable[[], None]) -> None:
        self._token.run_sync_soon(contained, callback)

    def completion(self) -> Completion:
        return _TrioCompletion(self._trio)

    def spawn(
        self, function: Callable[[], Awaitable[None]], context: contextvars.Context
    ) -> Callable[[], object]:
        scope = self._trio.CancelScope()

        async def run() -> None:
            with scope:
                try:
                    await function()
                except self.cancelled:
                    raise
                except BaseException:
                    logger.exception("a task raised")

        self._trio.lowlevel.spawn_system_task(run, context=context.copy())
        return scope.cancel  # type: ignore[no-any-return]

    def start(self, function: Callable[[], Awaitable[None]]) -> Callable[[], object]:
        return self.spawn(function, contextvars.copy_context())


def _nothing() -> None:
    return


def contained(callback: Callable[[], None]) -> None:
    """Calls back, and logs whatever it raises."""
    try:
        callback()
    except BaseException:
        logger.exception("a handler raised what would have ended the event loop")
