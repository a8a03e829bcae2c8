"""Between the native connection and the event loop: who waits for what.

The engine lives on a thread of its own that never touches Python. It puts deliveries into a mailbox
and rings a doorbell once per burst; the loop's own thread fetches them here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias, TypeVar
from weakref import WeakMethod

from . import _exit as _exit  # noqa: PLC0414 - for what it does at the end
from . import _native
from ._call import Choice, Delivery, Judge
from ._loops import Loop, running_key, running_loop
from ._process import forks
from .errors import ForkedProcess, WrongLoop, from_json

__all__ = ["BATCH", "Bridge", "Pending"]

BATCH = 1000
"""How many deliveries are handled before other tasks of the loop have their turn."""

SEVERAL = 2
"""From so many waiting calls on, requests are held until the end of the loop's turn."""

TURNS_BEFORE_CLOSE = 4
"""How often the loop's tasks have their turn before a close. A cancelled task sees it in the first,
a task of a group whose owner was cancelled in the second, and groups may be in groups."""

ASKS = frozenset({"approval", "approval_over"})
"""What comes with a token and completes nothing: questions to the client's handlers."""

CLOSED: Delivery = ("closed", 0)
"""Tells the client that it is closed; made here, for the engine's answer goes to the closer."""


class Pending(Protocol):
    """What waits for deliveries with its token."""

    def take(self, delivery: Delivery) -> bool:
        """Takes one and says whether more may come."""


Taker: TypeAlias = "Callable[[Delivery], bool | None]"
"""Takes one delivery and says whether more may come."""

P = TypeVar("P", bound=Pending)
R = TypeVar("R")


class Bridge:
    """Fetches deliveries on the loop's thread and completes the calls that wait for them.

    It belongs to the first loop it was used on, and to the process it was made in.
    """

    def __init__(self, native: _native.Connection, deliver: Callable[[Delivery], None]) -> None:
        self.native = native
        # The client has the bridge, so the bridge has the client only while the loop has it.
        self._deliver = WeakMethod(deliver)
        self._held: Callable[[Delivery], None] | None = None
        self._forks = forks.count
        self._loop: Loop | None = None
        self._home: Loop | None = None
        self._attached = False
        self._pending: dict[int, Taker] = {}
        self._closing: list[int] = []
        # The next one is the last.
        self._inbox: list[Delivery] = []
        # The mailbox has more, which comes when those who were answered have had their say.
        self._more = False
        self._paused = False
        self._closed = False
        self.server: object = None
        """The server of one's own that the client was made for: it lasts as long as the client."""
        # Requests are held until the loop comes to it.
        self._flushes = False

    @property
    def loop(self) -> Loop | None:
        """The loop it belongs to, once there is one."""
        return self._loop

    def settle(self, loop: Loop) -> None:
        """Makes it belong to a loop for good, before it is used."""
        self._home = self._loop = loop

    def attend(self) -> None:
        """Has handlers called from now on even while nobody waits for anything."""
        if self._loop is not None:
            self._loop.attend()

    @property
    def is_watched(self) -> bool:
        """Whether the loop watches the bell, so that deliveries still come."""
        return self._attached

    @property
    def is_left_open(self) -> bool:
        """Whether there is a connection on an event loop that nobody has begun to close."""
        return (
            self._home is None
            and not self._closing
            and self.is_in_its_process()
            and self.native.state in ("open", "reconnecting")
        )

    def is_at_home(self) -> bool:
        """Whether the caller is in the client's process, and not on a foreign loop."""
        return self._is_on_its_loop() and self.is_in_its_process()

    def _is_on_its_loop(self) -> bool:
        # A blocking client is at home in every thread; what is dropped may be so on any loop.
        loop = self._loop
        return (
            self._home is not None
            or loop is None
            or loop.is_running()
            or running_key() in (None, loop.key)
        )

    def on_loop(self, callback: Callable[[], None]) -> None:
        """Calls back on the loop's thread: at once where the caller is on it, else soon.

        For what wakes those who wait. A blocking client is at home in every thread, and where the
        loop has ended nobody waits any more.
        """
        loop = self._loop
        if loop is None or self._home is not None or running_key() == loop.key:
            callback()
            return
        with contextlib.suppress(RuntimeError):
            loop.from_thread(callback)

    def is_in_its_process(self) -> bool:
        """Whether the caller is in the client's process."""
        return forks.count == self._forks

    def check_process(self) -> None:
        """Refuses a call from a foreign process.

        Raises:
            ForkedProcess: The client was made before a fork.
        """
        if not self.is_in_its_process():
            raise ForkedProcess(
                "this client belongs to the parent process", hint="make a new client after the fork"
            )

    def check(self) -> None:
        """Refuses a call from a foreign process or loop.

        That is enough for what is sent and not waited for, which threads without a loop may call.

        Raises:
            ForkedProcess: The client was made before a fork.
            WrongLoop: Another loop is running the caller.
        """
        self.check_process()
        if not self._is_on_its_loop():
            raise WrongLoop(
                "this client belongs to another event loop",
                hint="make one client for each loop, or use run_coroutine_threadsafe",
            )

    def check_waiter(self) -> None:
        """Refuses a call of which something is to be waited for elsewhere than on the loop.

        Raises:
            ForkedProcess: The client was made before a fork.
            WrongLoop: Another loop is running the caller, or none while the client's runs in
                another thread or has ended.
        """
        loop = self._loop
        if loop is None or not loop.is_running() or forks.count != self._forks:
            self._check_waiter(loop)

    def _check_waiter(self, loop: Loop | None) -> None:
        self.check()
        if loop is not None and not loop.admits():
            # What begins here would be waited for there, or by nobody.
            raise WrongLoop(
                "this client belongs to an event loop that runs in another thread, or has ended",
                hint="call it on that loop (run_coroutine_threadsafe, call_soon_threadsafe), make "
                "one client for each loop, or use letta_app_client.sync, which works in any thread",
            )

    async def call(
        self,
        start: Callable[[int], None],
        read: Callable[[Delivery], R],
        judge: Judge | None = None,
    ) -> R:
        """Starts a call and waits for its completion.

        Args:
            start: Makes the native call with the token it is given.
            read: Makes of the completion what the call returns, or raises.
            judge: Picks the answer among the candidates of a manual request.

        Cancelling tells the engine, which stops a turn on the server; a completion that comes
        later is dropped.
        """
        loop = self.enter()
        token = self.native.token()
        completion = loop.completion()
        take = (
            completion.set_result if judge is None else Choice(self.native, completion, judge).take
        )
        self._pending[token] = take
        try:
            self._start(start, token)
            if not self._attached:
                self._attach(loop)
            delivery: Delivery = await completion.wait()
        except BaseException:
            # Also of what has come meanwhile: nobody gets it any more.
            self._pending.pop(token, None)
            self.native.cancel(token)
            raise
        if delivery[0] == "failed":
            raise from_json(delivery[2])
        if delivery[0] == "raised":
            raise delivery[2].pop()
        return read(delivery)

    def hold(self) -> bool:
        """Whether a request is held until all tasks that are ready by now have had their turn.

        Where several calls wait, the engine's thread is woken once for those that are made in one
        turn of the loop. One alone goes out at once, and so do all where threads block.
        """
        if len(self._pending) < SEVERAL or self._loop is None or self._home is not None:
            return False
        if not self._flushes:
            self._flushes = True
            self._loop.soon(self._flush)
        return True

    def _flush(self) -> None:
        self._flushes = False
        if self.is_in_its_process():
            self.native.flush()

    def begin(self, start: Callable[[int], None], make: Callable[[Loop, int], P]) -> P:
        """Starts something that gets deliveries until one is the last, and returns it.

        Args:
            start: Makes the native call with the token it is given.
            make: Makes what takes the deliveries.
        """
        loop = self.enter()
        token = self.native.token()
        # Before: without an event loop, other threads go on while ``on_send`` is called.
        pending = make(loop, token)
        self._pending[token] = pending.take
        try:
            self._start(start, token)
        except BaseException:
            if self._pending.pop(token, None):
                self.native.cancel(token)
            raise
        self._attach(loop)
        return pending

    def _start(self, start: Callable[[int], None], token: int) -> None:
        try:
            start(token)
        except Exception:
            # It was refused, and there is nothing to cancel. What is no ``Exception`` is an
            # interrupt, perhaps from a handler that was told of what has gone out already.
            self._pending.pop(token, None)
            raise

    def listen(self, more: bool) -> None:  # noqa: FBT001 - it begins or ends
        """Somebody listens to frames from now on, or does so no more; from any thread."""
        # After a fork the lock of the mailbox may be held by a thread that is not there.
        if self.is_in_its_process():
            self.native.listen(more)

    def forget(self, token: int) -> None:
        """Nothing waits for a token any more; what still comes for it is dropped."""
        self._pending.pop(token, None)

    async def close(self) -> None:
        """Closes and waits for it. From elsewhere than home it only sets the closing going."""
        await self._let_go()
        if self._closed:
            return
        token = self.native.token()
        loop = self._loop or running_loop()
        if loop is None or not self.is_at_home() or not loop.admits():
            self.close_nowait()
            return
        completion = loop.completion()
        self._pending[token] = completion.set_result
        self._closing.append(token)
        self._loop = loop
        try:
            if self.native.close(token):
                self._attach(loop)
                await completion.wait()
        finally:
            self._pending.pop(token, None)

    async def _let_go(self) -> None:
        """Lets tasks that were cancelled give up what they wait for, before a close.

        ``task.cancel()`` only says what the task is to see when it has its turn; the turn that it
        stops then is stopped on the server, while there is a connection.
        """
        loop = self._loop
        # Where threads block there are no tasks.
        if loop is None or self._home is not None or not self.is_at_home() or not loop.admits():
            return
        try:
            for _ in range(TURNS_BEFORE_CLOSE):
                if self._closed or not self._pending:
                    return
                completion = loop.completion()
                loop.soon(partial(completion.set_result, None))
                await completion.wait()
        except BaseException:
            self.close_nowait()
            raise

    def close_nowait(self) -> None:
        """Sets the closing going, from any thread."""
        token = self.native.token()
        self._closing.append(token)
        self.native.close(token)

    def release(self) -> None:
        """Lets go of the loop when nothing is open and nothing waits."""
        if not self._pending and self.native.state not in ("open", "reconnecting"):
            self._detach()
            self._loop = self._home

    def enter(self) -> Loop:
        """Returns the loop of the caller, which is the client's from now on.

        Raises:
            ForkedProcess: The client was made before a fork.
            WrongLoop: As for ``check_waiter``; or no loop is running, and the client has none yet.
        """
        loop = self._loop
        # Nearly every call is one of these.
        if loop is not None and loop.is_running() and forks.count == self._forks:
            return loop
        self._check_waiter(loop)
        if self._loop is None:
            self._loop = running_loop()
        if self._loop is None:
            raise WrongLoop("no asyncio or trio event loop is running")
        return self._loop

    def _attach(self, loop: Loop) -> None:
        # It may have been closed by another thread while a handler was called.
        if not self._attached and not self._closed:
            loop.attach(self.native.fileno(), self._bell)
            self._attached = True
            self._held = self._deliver()

    def _detach(self) -> None:
        if self._attached and self._loop is not None:
            self._attached = False
            self._held = None
            self._loop.detach()

    def _bell(self) -> None:
        # After a fork the mailbox and the bell are the parent's.
        if not self.is_in_its_process():
            return
        # What waits for the loop's other tasks waits in the engine, which has limits.
        if self._paused:
            return
        self._step(rung=True)

    def _resume(self) -> None:
        self._paused = False
        if self.is_in_its_process():
            self._step(rung=False)

    def _step(self, *, rung: bool) -> None:
        if not self._inbox:
            # It ends behind answers: the tasks that get them go on before what came after, for they
            # may register a handler for it.
            deliveries, self._more = self.native.drain(rung)
            # No call in between, at whose end an interrupt could lose them.
            self._inbox = deliveries[::-1]
        try:
            inbox, take = self._inbox, self._take
            for _ in range(min(len(inbox), BATCH)):
                # A handler may have fetched what was here.
                if inbox:
                    take(inbox.pop())
        finally:
            # Also when a handler was interrupted: no completion may be lost.
            if (self._inbox or self._more) and self._loop is not None:
                self._paused = True
                self._loop.soon(self._resume)

    def _take(self, delivery: Delivery) -> None:
        token = delivery[1]
        if not token or delivery[0] in ASKS:
            self._tell(delivery)
            return
        take = self._pending.get(token)
        if take is not None and not take(delivery):
            self._pending.pop(token, None)
        if token in self._closing:
            # Nothing is fetched after this, so whoever else closes it is told now.
            for other in tuple(self._closing):
                closer = self._pending.pop(other, None)
                if closer is not None and other != token:
                    closer(("closed", other))
            self._closing.clear()
            self._closed = True
            self.server = None
            self._tell(CLOSED)
            self._detach()
            self.native.hang_up()

    def _tell(self, delivery: Delivery) -> None:
        deliver = self._held or self._deliver()
        if deliver is not None:
            deliver(delivery)
