"""The handle of a turn under way."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from types import TracebackType
from typing import Any, ClassVar, Literal, cast

from ._flight import Flight
from ._prompt import Prompt
from ._rich import Rich
from ._stream import TurnStream
from ._uncopied import Uncopied
from .approvals import ApprovalRequest
from .decisions import Suggestion, allow, deny
from .errors import LettaAppError, TurnError
from .events import AssistantDelta, TurnEvent, TurnFinished
from .results import TurnResult, TurnStatus

__all__ = ["Turn", "TurnPhase"]

TurnPhase = Literal[
    "settling", "sent", "queued", "running", "stopping", "recovering", "ending", "detached"
]
"""How far a turn has come whose outcome is not known yet."""


class Turn(Uncopied, Rich):
    """A turn that was sent with ``AppServerClient.send_turn``.

    ``await turn`` waits for its ``TurnResult``, any number of times and in any number of tasks.
    ``async for event in turn`` follows what happens in it; ``async with`` stops it at the end of
    the block. You can combine these in any order::

        turn = client.send_turn(runtime=runtime, payload=payload)
        async for event in turn:
            match event:
                case letta.AssistantDelta(text):
                    print(text, end="")
                case letta.ToolCallStart(name):
                    print("->", name)
        result = await turn

    Cancelling a task that awaits or iterates stops the turn on the server, at once: the engine
    sends ``abort_message``, or takes the input out of the queue (protocol sections 10 and 15), and
    sees it through. A run that also answers another turn of this client goes on for that one (see
    ``abort``). ``asyncio.shield`` or ``detach`` keeps the turn going.
    Dropping the handle stops nothing: the turn goes on to its end unseen.
    """

    __slots__ = ("__weakref__", "_agent_id", "_flight", "_prompt")
    _rich: ClassVar[str] = "turn"

    def __init__(
        self, flight: Flight, runtime: Mapping[str, Any], payload: Mapping[str, Any]
    ) -> None:
        """Use ``AppServerClient.send_turn``."""
        self._flight = flight
        self._agent_id = str(runtime["agent_id"])
        self._prompt = _said(payload)

    @property
    def prompt(self) -> Prompt:
        """What was said: the content of the input's last message."""
        return self._prompt

    @property
    def agent_id(self) -> str:
        """The agent that was asked."""
        return self._agent_id

    def __await__(self) -> Generator[Any, Any, TurnResult]:
        return self._flight.outcome().__await__()

    def __aiter__(self) -> TurnStream[TurnEvent]:
        """Iterates over the events from the moment of sending, however late you begin.

        The last one is ``TurnFinished``; a turn that fails raises what awaiting it raises. Only one
        task at a time may read, and every event is given once; after the last one, a new iteration
        gives ``TurnFinished`` again.

        The engine keeps up to 65,536 events or 64 MiB for a reader that lags. Above that,
        neighbouring pieces of one text, or of one call's arguments or output, are merged into one
        event; if that is not enough, the oldest pieces, outputs, statuses and unknown events are
        dropped. ``EventsDropped`` counts both; the result is still complete.

        Leaving the loop early, by ``break`` or an exception, stops the turn on the server without
        waiting for it; awaiting the turn then gives its outcome. In an interpreter without
        reference counts, use ``contextlib.aclosing(aiter(turn))`` to make sure of that.
        """
        return self._events()

    def stream_text(self) -> TurnStream[str]:
        """Iterates over the agent's text as it comes.

        All other events are left out, and the text of a run that is withdrawn later is not taken
        back. Otherwise it works like ``async for event in turn``, errors included.
        """
        return self._text()

    async def result(self) -> TurnResult:
        """Waits for the end: the same as awaiting the turn."""
        return await self._flight.outcome()

    async def abort(self) -> TurnResult:
        """Stops the turn on the server and waits for its end.

        Sends ``abort_message``, or ``remove_queue_item`` while the input is queued (protocol
        sections 10 and 15), once it is known where the input is. Resolves when the turn has ended,
        after ``abort_grace`` seconds at most. Cancelling this call does not undo the abort. A turn
        that has already ended is left as it is. If the server answers another turn of this client
        together with this one (``merged_with``), only this one ends, and nothing is sent: the last
        of them is the one that stops the server. What other clients, or ``client.input``, have put
        into the same run is aborted with it. With ``check`` a turn that is stopped here does not
        raise; one that had ended before raises as ever.

        Returns:
            The result. Its status is ``aborted``, or whatever the turn had come to by itself. If
            the server has not said by then where the input is, the status is ``disconnected``:
            nothing could be sent, and the turn is stopped as soon as something can be.

        Raises:
            LettaAppError: The same errors as when the turn is awaited.
        """
        # Whoever cannot wait for it here does not stop it either.
        self._flight.check()
        self._flight.stop()
        return await self._flight.outcome()

    def detach(self) -> None:
        """Lets the turn go on without anybody here watching; sends nothing.

        Iterations end, and awaiting raises ``TurnInterrupted``. The turn has no limits any more.
        What it allows runs as before, and what it denies is still denied. A permission that its
        policy or handler has not yet decided on goes to the client's handlers; if there are none,
        it waits until another input is queued behind it, and is then decided as that input's own
        would be. An input that is still waiting is sent all the same, also on the next connection,
        or when the client is closed or the program ends; ``stats.unsent`` counts those that could
        not be sent. A turn that has ended is left as it is.

        Raises:
            WrongLoop: Called on another event loop.
            ForkedProcess: The client was made before a fork.
        """
        self._flight.detach()

    def display(self) -> None:
        """Shows the turn in the output of this cell of a notebook, and keeps that up to date.

        The output has the agent's text as Markdown, its reasoning and its tool calls folded, the
        changes it makes to files, and how long it has taken. It stays in this cell whatever runs in
        others, is updated at most 10 times a second, and goes on while a cell computes; what is
        saved with the notebook is how the turn ended. The agent's text never becomes HTML that
        could run or load anything.

        Returns at once and sends nothing. The output takes all events from the moment of sending,
        so nobody else can iterate over them. When called again in another cell, it shows the same
        output there as well. In IPython without a notebook only the end is shown.

        Raises:
            InvalidOption: This is not running in IPython.
            RuntimeError: Somebody is already iterating over the turn.
        """
        from .jupyter._live import LiveTurn  # noqa: PLC0415 - only notebooks need it

        shown = self._flight.shown
        (shown if isinstance(shown, LiveTurn) else LiveTurn(self)).start()

    async def approval_request(self) -> ApprovalRequest | None:
        """Waits until the turn needs a permission, and returns the request (the first of several).

        For turns that were sent with ``approvals="wait"``; ``approve`` and ``deny`` answer it.
        Sends nothing. Cancelling stops the turn on the server, as with awaiting it.

        Returns:
            The request; ``None`` when the turn has ended.
        """
        return await self._flight.wanted()

    def approve(
        self,
        *,
        updated_input: Mapping[str, Any] | None = None,
        suggestions: Suggestion | str | Iterable[Suggestion | str] = (),
        message: str | None = None,
    ) -> None:
        """Allows what the turn asks permission for (the first of several requests).

        For turns that were sent with ``approvals="wait"``, or whose handler takes its time; the
        handler's answer is then no longer wanted. Sends ``input`` with an ``approval_response``
        (protocol section 13), and does not wait for anything.

        Args:
            updated_input: Arguments to run the tool with; they replace all of its own.
            suggestions: Suggested rules to store, or their ids, so that similar calls run without
                asking.
            message: What the agent is told.

        Raises:
            InvalidOption: The turn is not waiting for a permission.
            ClientClosed: The client is gone.
            Disconnected: There is no connection.
        """
        decision = allow(updated_input=updated_input, suggestions=suggestions, message=message)
        self._flight.answer(decision)

    def deny(self, message: str) -> None:
        """Denies what the turn asks permission for; otherwise like ``approve``.

        Args:
            message: The reason; it becomes the result of the tool call.

        Raises:
            InvalidOption: The turn is not waiting for a permission.
            ClientClosed: The client is gone.
            Disconnected: There is no connection.
        """
        self._flight.answer(deny(message))

    @property
    def status(self) -> TurnPhase | TurnStatus:
        """How the turn stands, in one word.

        While it is under way: ``settling`` (its input waits until the server has cleaned up after
        the turn before, protocol section 18), ``sent``, ``queued``, ``running``, ``stopping`` (it
        was told to stop), ``recovering`` (its connection was lost, and the client is finding out
        what became of it), or ``ending`` (it is over, and its outcome is about to be here).
        Afterwards it is the status of the result; if the turn raised, that of the partial result,
        or ``failed``. ``detached`` after ``detach``.
        """
        flight = self._flight
        if flight.detached:
            return "detached"
        if not flight.is_over:
            report = flight.report()
            return "ending" if report is None else report[0]
        result, error = flight.result, flight.error
        if result is None and isinstance(error, TurnError):
            result = error.result
        return (result.status if result is not None else None) or "failed"

    def explain(self) -> str:
        """Says in words how the turn stands, for people who wonder why it has not ended.

        For example:
        ``running 94 s; last event 41 s ago: Bash started, `npm test`; approval none; queue 1``.
        Asks the engine's thread, which takes some microseconds.
        """
        flight = self._flight
        if flight.detached:
            return "detached: nobody here watches it"
        if not flight.is_over:
            report = flight.report()
            return "ending: its outcome is about to be here" if report is None else report[1]
        if flight.result is None:
            return f"{self.status}: {flight.error}"
        result = flight.result
        reason = result.error or f"stop reason {result.stop_reason or 'unknown'}"
        return f"{self.status} after {result.duration:.1f} s: {reason}"

    async def __aenter__(self) -> Turn:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._flight.is_over:
            return
        self._flight.stop()
        # Who is cancelled or interrupted does not wait.
        if kind is None or issubclass(kind, Exception):
            try:
                await self._flight.outcome()
            except LettaAppError:
                # The block is left, so nobody asks for the outcome here; awaiting still tells it.
                return

    def _events(self, *, owned: bool = False) -> TurnStream[TurnEvent]:
        """``owned`` is for who keeps no handle: the turn ends with its stream."""
        now = self._flight.event_now
        return TurnStream(self, self._flight, self._next, now, owns=owned)

    def _text(self, *, owned: bool = False) -> TurnStream[str]:
        return TurnStream(self, self._flight, self._next_text, self._text_now, owns=owned)

    async def _next(self) -> TurnEvent | None:
        event = await self._flight.next_event()
        if event is not None:
            return event
        if self._flight.detached:
            return None
        result, arrival = await self._flight.outcome(), self._flight.arrival
        assert arrival is not None  # noqa: S101 - the result is made of it
        return TurnFinished._arrived(arrival, result)  # noqa: SLF001 - of this package

    async def _next_text(self) -> str | None:
        while True:
            event = await self._next()
            if isinstance(event, AssistantDelta) and event.text:
                return event.text
            if event is None or isinstance(event, TurnFinished):
                return None

    def _text_now(self) -> str | None:
        while (event := self._flight.event_now()) is not None:
            if isinstance(event, AssistantDelta) and event.text:
                return event.text
        return None

    def __del__(self) -> None:
        self._flight.leave()

    def __repr__(self) -> str:
        # Without the engine: a debugger may ask at any time.
        state = self.status if self._flight.is_over else "under way"
        return f"<Turn {state}>"


def _said(payload: Mapping[str, Any]) -> Prompt:
    try:
        return cast("Prompt", payload["messages"][-1]["content"])
    except (LookupError, TypeError):
        return ""  # of an input without messages, or with objects that only become some
