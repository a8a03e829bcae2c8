"""A turn under way, as the event loop sees it: its outcome, its events, who waits for them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Literal
from weakref import WeakMethod

from . import _native
from ._bridge import Bridge
from ._call import Delivery
from ._loops import Completion, Loop, contained
from .approvals import ApprovalRequest
from .decisions import Decision
from .errors import (
    ApprovalRequired,
    ClientClosed,
    InvalidOption,
    LettaAppError,
    TurnError,
    TurnInterrupted,
    from_json,
)
from .events import ApprovalDecided, ApprovalRequested, TurnEvent, events_from_native
from .results import Arrival, TurnResult

__all__ = ["Flight", "SecondReader", "news"]

Phase = Literal["settling", "sent", "queued", "running", "stopping"]


class SecondReader(RuntimeError):
    """Somebody reads the events of a turn already, who reads on."""


class Flight:
    """What the bridge holds of a turn until its end, and the turn's handle for longer."""

    def __init__(
        self,
        bridge: Bridge,
        loop: Loop,
        token: int,
        released: Callable[[int], None],
        answer: Callable[[ApprovalRequest, Any], None],
    ) -> None:
        # The handle outlives its client, but does not keep it.
        self._answer = WeakMethod(answer)
        self._bridge = bridge
        self._native: _native.Connection = bridge.native
        self.loop = loop
        self._token = token
        # What else is kept for the turn goes with its end.
        self._released = released
        # They are told of everything that comes for the turn.
        self.waiters: set[Completion] = set()
        self._ready = False
        self._reading = False
        # Iterations that have begun and not ended.
        self.followers: set[int] = set()
        self._events: deque[TurnEvent] = deque()
        # Other tasks have had no turn since the last part of the events was taken.
        self._breathless = False
        self._failure: str | None = None
        self._pulling = threading.Lock()
        self._asked: dict[str, str] = {}
        self._watchers: list[Callable[[], None]] = []
        self.result: TurnResult | None = None
        self.arrival: Arrival | None = None
        self.detached = False
        # What its session brings, to its end; also when nobody waits for that any more.
        self.needs: object = None
        # What shows it in a notebook, and has all of its events.
        self.shown: object = None

    @property
    def is_over(self) -> bool:
        """Whether the outcome is known, or nobody asks for it any more."""
        return self.detached or self.result is not None or self._failure is not None

    @property
    def error(self) -> LettaAppError | None:
        """Why there is no result. A new object each time, for the sake of its traceback."""
        if self._failure is not None:
            return self._error(self._failure)
        if self.detached:
            return TurnInterrupted("the turn was detached: its outcome is unknown here")
        return None

    def unended(self, result: TurnResult) -> LettaAppError | None:
        """What ``Session.run`` raises of a turn that the agent did not end itself."""
        reason = result.stop_reason if result.error is None else result.error
        text = _native.outcome_error(result.status or "", reason)
        if text is None:
            return None
        error = self._error(text)
        if isinstance(error, TurnError):
            error.result = result
        return error

    def _error(self, text: str) -> LettaAppError:
        error = from_json(text)
        if isinstance(error, ApprovalRequired):
            error._answer = self._answer()  # noqa: SLF001 - of this package
        return error

    def take(self, delivery: Delivery) -> bool:
        """Takes what came for the turn and says whether more may come."""
        kind = delivery[0]
        more: bool = kind == "turn_ready"
        if more:
            self._ready = True
        else:
            self.needs = None
            if self.detached:
                # It is over, and nobody asks how.
                return False
            if kind == "failed":
                self._failure = delivery[2]
            else:
                self.arrival = Arrival(delivery[2])
                self.result = TurnResult._arrived(self.arrival)  # noqa: SLF001 - of this package
            self._end()
        for waiter in self.waiters:
            waiter.set_result(None)
        return more

    def _end(self) -> None:
        self._released(self._token)
        watchers, self._watchers = self._watchers, []
        for watch in watchers:
            contained(watch)

    def stop(self) -> None:
        """Stops the turn on the server, from any thread; its end still comes."""
        if not self.is_over and self._bridge.is_in_its_process():
            self._native.abort_turn(self._token)

    def leave(self) -> None:
        """Nobody reads the events any more, from any thread."""
        # After a fork the lock of the queues may be held by a thread that is not there.
        if self._bridge.is_in_its_process():
            self._native.leave_turn(self._token)

    def detach(self) -> None:
        """Lets the turn go on; only its end comes. From any thread without a loop."""
        self._bridge.check()
        if self.is_over:
            return
        self.detached = True
        self._native.detach_turn(self._token)
        self.leave()
        self._bridge.on_loop(self._let_go)

    def _let_go(self) -> None:
        if self.needs is None:
            self._bridge.forget(self._token)
        self._end()
        for waiter in self.waiters:
            waiter.set_result(None)

    def report(self) -> tuple[Phase, str] | None:
        """The phase and a text about it; ``None`` when the engine has seen the end."""
        self._bridge.check_process()
        return self._native.turn_report(self._token)

    def check(self) -> None:
        """Refuses who waits for it in a foreign process, or not on the client's loop."""
        self._bridge.check_waiter()

    async def outcome(self) -> TurnResult:
        """Waits for the end."""
        self._bridge.check_waiter()
        while not self.is_over:
            await self._wait()
        error = self.error
        if error is not None:
            try:
                raise error
            finally:
                # The error's traceback leads here, and a cycle would keep the client.
                del error
        assert self.result is not None  # noqa: S101 - one of the two is there
        return self.result

    def event_now(self) -> TurnEvent | None:
        """The next event, if it is here.

        Who asks is checked where events are fetched.
        """
        if not self._events or self._reading or self.detached:
            return None
        return self._events.popleft()

    async def next_event(self) -> TurnEvent | None:
        """Waits for the next event; ``None`` once the turn is over and all were given."""
        self._bridge.check_waiter()
        self.check_unread()
        self._reading = True
        try:
            while True:
                if self.detached:
                    return None
                if self._events:
                    return self._events.popleft()
                if self._ready:
                    if self._breathless:
                        await self._breathe()
                    # Only now and a part, so that the engine's limits hold for a reader who lags.
                    # More may wait there, and is not told of again, until nothing came.
                    self._ready = self._breathless = self._pull()
                elif self.is_over:
                    self.leave()
                    return None
                else:
                    await self._wait()
                    self._breathless = False
        finally:
            self._reading = False

    @property
    def is_followed(self) -> bool:
        """Whether somebody reads the events, or is about to go on with it."""
        return self._reading or bool(self.followers) or self.shown is not None

    def claim(self) -> None:
        """Lets nobody else read the events, for good."""
        self.check_unread()
        self._reading = True

    def check_unread(self) -> None:
        """Refuses who would read the events while another does."""
        if self.shown is not None:
            raise SecondReader("the output of display() is already reading the events of this turn")
        if self._reading:
            raise SecondReader("another task is already reading the events of this turn")

    def take_now(self) -> list[dict[str, Any]]:
        """Returns the events that are there, from any thread; for who has claimed them."""
        while self._pull():
            pass
        with self._pulling:
            given = [event.raw for event in self._events]
            self._events.clear()
        return given

    def attend(self) -> None:
        """Has its end seen even while nobody waits for it, where that is not so anyway."""
        self._bridge.attend()

    def watch(self, function: Callable[[], None]) -> None:
        """Calls a function once the turn is over, before those who wait for it go on."""
        if self.is_over:
            function()
        else:
            self._watchers.append(function)

    def asked(self) -> ApprovalRequest | None:
        """The permission that the turn wants, of several the first."""
        self._bridge.check()
        while self._pull():
            pass
        if self.is_over or not self._asked:
            return None
        return ApprovalRequest(next(iter(self._asked.values())))

    async def wanted(self) -> ApprovalRequest | None:
        """Waits until it wants one; ``None`` when it has ended."""
        self._bridge.check_waiter()
        request = self.asked()
        while request is None and not self.is_over:
            await self._wait()
            request = self.asked()
        return request

    def answer(self, decision: Decision) -> None:
        """Sends the answer to the permission request that ``asked`` gives."""
        request, send = self.asked(), self._answer()
        if request is None:
            raise InvalidOption("the turn is not waiting for a permission")
        if send is None:
            raise ClientClosed("the client of the turn no longer exists")
        send(request, decision)
        self._asked.pop(request.request_id, None)

    def _pull(self) -> bool:
        """Takes a part of the events from the engine, and says whether there were any."""
        if not self._bridge.is_in_its_process():
            return False
        with self._pulling:
            events, others = events_from_native(self._native.take_turn(self._token))
            self._events.extend(events)
            for event in others:
                if isinstance(event, ApprovalRequested):
                    self._asked[event.request_id] = event.raw["frame"]
                elif isinstance(event, ApprovalDecided):
                    self._asked.pop(event.request_id, None)
        return bool(events)

    async def _breathe(self) -> None:
        """Lets other tasks have their turn: a reader who finds events ready never waits."""
        completion = self.loop.completion()
        self.loop.soon(lambda: completion.set_result(None))
        await self._stopping(completion)

    async def _wait(self) -> None:
        completion = self.loop.completion()
        self.waiters.add(completion)
        try:
            await self._stopping(completion)
        finally:
            self.waiters.discard(completion)

    async def _stopping(self, completion: Completion) -> None:
        """Waits; whoever is cancelled meanwhile stops the turn."""
        try:
            await completion.wait()
        except BaseException:
            self.stop()
            raise


async def news(flights: Collection[Flight]) -> None:
    """Waits until something has come for one of several turns, of one loop."""
    completion = next(iter(flights)).loop.completion()
    for flight in flights:
        flight.waiters.add(completion)
    try:
        await completion.wait()
    finally:
        for flight in flights:
            flight.waiters.discard(completion)
