"""What stands in for an event loop in blocking clients: the threads that call them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from .._loops import Completion, Loop, contained, driving, logger
from ._completion import BlockingCompletion
from ._gate import Gate
from ._interrupts import Interrupts
from ._tasks import OwnLoopTask, StepTask

__all__ = ["BlockingLoop"]

T = TypeVar("T")

_SLICE = 0.1 if sys.platform == "win32" else 0.5
"""Seconds after which a wait looks for Ctrl-C where that has not ended it: on Windows
it never does, elsewhere not where it comes just before the wait."""

_GLANCE = 1_000
"""How many steps a glance takes at most, for more may come all the time."""


class _Entered:
    __slots__ = ("_gate", "_loop", "_outer")

    def __init__(self, loop: BlockingLoop, gate: Gate | None) -> None:
        self._loop = loop
        self._gate = gate
        self._outer: Loop | None = None

    def __enter__(self) -> None:
        if self._gate is not None:
            self._gate.enter()
        self._outer = driving.loop
        driving.loop = self._loop

    def __exit__(self, *_: object) -> None:
        driving.loop = self._outer
        if self._gate is not None:
            self._gate.leave()


class BlockingLoop:
    """Runs coroutines of a client in the threads that call it, one step at a time.

    There is no loop that runs. A thread whose coroutine has to wait looks for deliveries of the
    engine itself, and completes what others wait for as well; the others sleep meanwhile. Where
    somebody has registered a function that is to be called, a thread of the client's own, the
    attendant, does that instead, so that the function is called even while nobody waits.
    """

    def __init__(self, ring: Callable[[], None] = lambda: None) -> None:
        """Takes what ends a wait for deliveries."""
        self.key: object = self
        self.cancelled: type[BaseException] = asyncio.CancelledError
        self.faces: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._ring = ring
        self._gate = Gate()
        self._pid = os.getpid()
        self._fd = -1
        self._bell: Callable[[], None] | None = None
        self._soon: deque[Callable[[], None]] = deque()
        self._sleeping: list[BlockingCompletion] = []
        self._looking: int | None = None
        self._attended = False
        self._attendant: int | None = None
        self._end: BlockingCompletion | None = None

    def is_running(self) -> bool:
        return False

    def admits(self) -> bool:
        return True

    # --- what blocking code uses -----------------------------------------------------------------

    def entered(self) -> _Entered:
        """Makes this the loop of the calling thread for a while, without any other thread."""
        # After a fork the gate may be held by a thread that is not there. Who gets through it is
        # refused by the client itself.
        return _Entered(self, self._gate if os.getpid() == self._pid else None)

    @contextlib.contextmanager
    def left(self) -> Iterator[None]:
        """Calls what is the program's own from within: other threads may go on."""
        if not self._gate.is_mine:
            # From what is dropped, a terminal for one, which may be in any thread at any moment.
            yield
            return
        outer, driving.loop = driving.loop, None
        held = self._gate.give_up()
        try:
            yield
        finally:
            self._gate.take_back(held)
            driving.loop = outer

    def run(
        self, make: Callable[[], Coroutine[Any, Any, T]], keep: Callable[[T], None] | None = None
    ) -> T:
        """Runs a coroutine to its end and blocks meanwhile. Ctrl-C is raised where it waits.

        It is made here, or an interrupt could come before it begins, and it would never be awaited.
        Its value is kept before an interrupt can come in its place.
        """
        with Interrupts(self._step_aside) as interrupts, self.entered():
            coroutine = make()
            error: BaseException | None = None
            while True:
                try:
                    waited = coroutine.send(None) if error is None else coroutine.throw(error)
                except StopIteration as stop:
                    if keep is not None:
                        keep(stop.value)
                    return stop.value  # type: ignore[no-any-return]
                finally:
                    error = None
                error = self._wait(waited, interrupts)

    def nudge(self) -> None:
        """Lets the thread that looks for deliveries look around, if that is another one."""
        if self._looking not in (None, threading.get_ident()):
            self._ring()

    def glance(self) -> None:
        """Takes what has come by now, without waiting, where nobody looks for it.

        For those who only ask how something stands: nobody else would fetch what says so. A thread
        that is at work fetches it itself; and a debugger may ask from within the client's own code,
        which is not to be run then.
        """
        if os.getpid() != self._pid or self._gate.is_mine or not self._gate.enter_now():
            return
        try:
            with Interrupts(), self.entered():
                if self._looking is None and self._may_look():
                    self._look_now()
        finally:
            self._gate.leave()

    def _look_now(self) -> None:
        self._looking = threading.get_ident()
        try:
            for _ in range(_GLANCE):
                if self._soon:
                    _called(self._soon.popleft())
                elif self._bell is not None and self._may_look() and _is_readable(self._fd):
                    _called(self._bell)
                else:
                    return
        finally:
            if self._looking == threading.get_ident():
                self._looking = None
            self._wake_next()

    def _wait(self, completion: BlockingCompletion, interrupts: Interrupts) -> BaseException | None:
        try:
            while not completion.done:
                if self._may_look():
                    self._look(completion, interrupts)
                else:
                    self._sleep(completion, interrupts)
        except BaseException as error:  # noqa: BLE001 - it is the coroutine's
            return error
        finally:
            # Perhaps this one was woken to look for deliveries, and does not need to any more.
            self._wake_next()
        return None

    def _may_look(self) -> bool:
        me = threading.get_ident()
        there = self._fd >= 0 or bool(self._soon)
        # One that is about to begin counts: functions of the program are called in its thread only.
        attended = self._end is not None or self._attendant is not None
        return there and self._looking in (None, me) and (not attended or self._attendant == me)

    def _look(self, completion: BlockingCompletion, interrupts: Interrupts) -> None:
        """Looks for deliveries until the completion is one of them."""
        outer, me = self._looking, threading.get_ident()
        try:
            while not completion.done and self._may_look():
                self._looking = me
                if self._soon:
                    _called(self._soon.popleft())
                    continue
                self._outside(functools.partial(_wait_readable, self._fd), interrupts)
                # An attendant may have begun meanwhile, who is woken by the same ring.
                if self._bell is not None and self._may_look():
                    _called(self._bell)
        finally:
            # Unless a call from within had to leave it to another thread.
            if self._looking == me:
                self._looking = outer
            self._wake_next()

    def _sleep(self, completion: BlockingCompletion, interrupts: Interrupts) -> None:
        """Sleeps until the completion is there, or somebody has to look for deliveries."""
        signal = completion.signal = threading.Lock()
        signal.acquire()
        completion.thread = threading.get_ident()
        self._sleeping.append(completion)
        if self._looking == threading.get_ident():
            # From within a look of this thread's own, which is not to keep others from looking.
            self._looking = None
            self._wake_next()

        def sleep() -> None:
            while not signal.acquire(timeout=_SLICE):
                pass

        try:
            self._outside(sleep, interrupts)
        finally:
            completion.signal = None
            self._sleeping.remove(completion)

    def _outside(self, wait: Callable[[], None], interrupts: Interrupts) -> None:
        held = self._gate.give_up()
        try:
            interrupts.waiting(wait)
        finally:
            self._gate.take_back(held)

    def _step_aside(self) -> None:
        """Lets others look for deliveries while this thread is in a signal handler of the program.

        It goes on with its own wait afterwards, beside them if need be.
        """
        me = threading.get_ident()
        with self.entered():
            if self._looking == me:
                self._looking = None
            # Whoever is woken first has to be one that can.
            self._sleeping.sort(key=lambda one: one.thread == me)
            self._wake_next()

    def _wake_next(self) -> None:
        """Lets somebody else look for deliveries."""
        if self._looking is not None:
            return
        if self._end is not None:
            self._end.wake()
        elif self._sleeping:
            self._sleeping[0].wake()

    # --- the attendant ---------------------------------------------------------------------------

    def attend(self) -> None:
        """Calls functions of the program from now on even while nobody waits."""
        self._attended = True
        if self._fd >= 0 and self._end is None:
            self._end = BlockingCompletion(self)
            thread = threading.Thread(target=self._serve, name="letta-app-client", daemon=True)
            try:
                thread.start()
            except BaseException:
                self._end = None  # nobody will look in its stead
                raise

    def _serve(self) -> None:
        with Interrupts() as interrupts, self.entered():
            if self._attendant is not None:
                return  # the one of an earlier connection goes on
            self._attendant = threading.get_ident()
            self.nudge()
            while self._end is not None:
                self._wait(self._end, interrupts)
            self._attendant = None
            self._wake_next()

    # --- what the client uses: see ``_loops.Loop`` -----------------------------------------------

    def attach(self, fd: int, callback: Callable[[], None]) -> None:
        self._fd, self._bell = fd, callback
        if self._attended:
            self.attend()
        self._wake_next()

    def detach(self) -> None:
        self._fd, self._bell = -1, None
        if self._end is not None:
            end, self._end = self._end, None
            end.set_result(None)
        # Who looks for deliveries has nothing to look at any more.
        self.nudge()

    def soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)
        self.nudge()

    def later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], object]:
        timer = threading.Timer(seconds, self.from_thread, (callback,))
        timer.daemon = True
        timer.start()
        return timer.cancel

    def from_thread(self, callback: Callable[[], None]) -> None:
        with self.entered():
            contained(callback)

    def completion(self) -> Completion:
        return BlockingCompletion(self)

    def spawn(
        self, function: Callable[[], Awaitable[None]], context: contextvars.Context
    ) -> Callable[[], object]:
        task = OwnLoopTask(function)
        threading.Thread(
            target=context.run, args=(task.run,), name="letta-app-client-task", daemon=True
        ).start()
        return task.cancel

    def start(self, function: Callable[[], Awaitable[None]]) -> Callable[[], object]:
        task = StepTask(function(), self)
        self.soon(task.step)
        return task.cancel


def _called(callback: Callable[[], None]) -> None:
    """Calls back, and logs what it raises, unless it is what a signal's handler has raised.

    Handlers of signals run in the main thread, between any two of its steps; those of the client do
    not run there. So it was raised at whoever waits there, such as ``SystemExit``.
    """
    try:
        callback()
    except BaseException as error:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and not isinstance(error, Exception):
            raise
        logger.exception("a handler raised what would have ended the event loop")


def _wait_readable(fd: int) -> None:
    """Waits for a byte. A signal whose handler raises ends that, at the latest after the slice."""
    while not _is_readable(fd, _SLICE):
        pass


def _is_readable(fd: int, seconds: float = 0) -> bool:
    """Says whether there is a byte, or comes one in this time."""
    if sys.platform == "win32":
        return bool(select.select([fd], [], [], seconds)[0])
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
