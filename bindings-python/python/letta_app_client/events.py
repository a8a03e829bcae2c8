"""What happens in a turn, as objects (protocol sections 9 to 13)."""

from __future__ import annotations

import copy
import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import repeat
from typing import Any, ClassVar, Literal, TypeAlias

from ._parse import parse
from .approvals import ApprovalRequest
from .results import Arrival, TurnResult, Usage

__all__ = [
    "ApprovalDecided",
    "ApprovalRefused",
    "ApprovalRequested",
    "AssistantDelta",
    "EventsDropped",
    "LoopStatus",
    "QueuePosition",
    "ReasoningDelta",
    "Retry",
    "RunStarted",
    "RunWithdrawn",
    "ToolCallArguments",
    "ToolCallEnd",
    "ToolCallStart",
    "ToolOutput",
    "TurnEvent",
    "TurnFinished",
    "TurnResumed",
    "UnknownEvent",
    "UsageReported",
    "event_from_raw",
    "events_from_native",
]

Taken: TypeAlias = str | dict[str, Any] | tuple[str, str, str, list[str]]
"""What the engine gives: JSON text, a plain form, or the type, message, run and texts of pieces."""


class _Late:
    """Room for what the plain form of the last event is made of."""

    __slots__ = ("_arrival",)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event(_Late):
    """What all events have: a type, their fields, and the plain form of both.

    Attributes:
        raw: The event as a plain ``dict``, exactly as the engine gave it. Do not change it; see
            ``to_dict``.
    """

    type: ClassVar[str]
    raw: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.raw:
            # Made by a program, for example in its tests.
            names = (one.name for one in fields(self) if one.name != "raw")
            plain = {name: _plain(getattr(self, name)) for name in names}
            object.__setattr__(self, "raw", {"type": self.type, **plain})

    @classmethod
    def from_raw(cls, raw: dict[str, Any]) -> _Event:
        """Builds the event of a plain form of its type."""
        known = {one.name: raw[one.name] for one in fields(cls) if one.name in raw}
        return cls(**known, raw=raw)

    def to_dict(self) -> dict[str, Any]:
        """Returns a copy of the plain form that may be changed."""
        return copy.deepcopy(self.raw)

    def get(self, key: str, default: Any = None) -> Any:
        """Returns a field of the plain form, or the default."""
        return self.raw.get(key, default)

    def __getitem__(self, key: str) -> Any:
        return self.raw[key]

    def __contains__(self, key: object) -> bool:
        return key in self.raw


def _plain(value: Any) -> Any:
    if isinstance(value, (ApprovalRequest, TurnResult)):
        return value.to_dict()
    if is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    return value


@dataclass(frozen=True, slots=True)
class QueuePosition(_Event):
    """The input waits in the server's queue (section 10).

    Attributes:
        position: Its place, counted from 1.
    """

    type: ClassVar[Literal["queued"]] = "queued"
    position: int


@dataclass(frozen=True, slots=True)
class RunStarted(_Event):
    """A model call of the turn began.

    Attributes:
        run_id: The run.
    """

    type: ClassVar[Literal["run_started"]] = "run_started"
    run_id: str


@dataclass(frozen=True, slots=True)
class RunWithdrawn(_Event):
    """A run failed and was tried again: what it said does not count (section 9.4).

    Attributes:
        run_id: The run.
    """

    type: ClassVar[Literal["run_withdrawn"]] = "run_withdrawn"
    run_id: str


@dataclass(frozen=True, slots=True)
class AssistantDelta(_Event):
    """The agent said something.

    Attributes:
        text: The piece.
        message_id: The same for all pieces of one message within a run.
        run_id: The run.
    """

    type: ClassVar[Literal["assistant_delta"]] = "assistant_delta"
    text: str
    message_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class ReasoningDelta(_Event):
    """The agent thought something.

    Attributes:
        text: The piece.
        message_id: The same for all pieces of one message within a run.
        run_id: The run.
    """

    type: ClassVar[Literal["reasoning_delta"]] = "reasoning_delta"
    text: str
    message_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallStart(_Event):
    """The agent calls a tool.

    Attributes:
        name: The tool.
        call_id: The call.
        run_id: The run.
    """

    type: ClassVar[Literal["tool_call_start"]] = "tool_call_start"
    name: str
    call_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallArguments(_Event):
    """A piece of a tool call's arguments, or all of them.

    Attributes:
        arguments: The piece, of a JSON text.
        call_id: The call.
    """

    type: ClassVar[Literal["tool_call_arguments"]] = "tool_call_arguments"
    arguments: str
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolOutput(_Event):
    """What a tool has printed so far; each such event replaces the one before.

    Attributes:
        output: The whole output so far.
        call_id: The call.
    """

    type: ClassVar[Literal["tool_output"]] = "tool_output"
    output: str
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallEnd(_Event):
    """A tool has returned.

    Attributes:
        output: What it returned.
        status: ``success`` or ``error``.
        call_id: The call.
    """

    type: ClassVar[Literal["tool_call_end"]] = "tool_call_end"
    output: str
    status: str = ""
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalRequested(_Event):
    """A permission is requested (section 13). The event also comes when a handler answers it.

    Attributes:
        request: The request.
        request_id: The server's id of it.
    """

    type: ClassVar[Literal["approval_requested"]] = "approval_requested"
    request: ApprovalRequest
    request_id: str = ""

    @classmethod
    def from_raw(cls, raw: dict[str, Any]) -> ApprovalRequested:
        """Builds the event of its plain form, which has the request as text (``frame``)."""
        return cls(ApprovalRequest(raw["frame"]), raw["request_id"], raw=raw)


@dataclass(frozen=True, slots=True)
class ApprovalDecided(_Event):
    """A permission was given or refused, or is no longer needed.

    Attributes:
        decision: What this client answered, ``allow`` or ``deny``; ``None`` when somebody else
            decided, or nobody had to.
        request_id: The server's id of the request.
    """

    type: ClassVar[Literal["approval_decided"]] = "approval_decided"
    decision: Literal["allow", "deny"] | None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalRefused(_Event):
    """The server did not take this client's answer: somebody else was first, or it came too late.

    Attributes:
        reason: The server's reason.
        request_id: The server's id of the request.
    """

    type: ClassVar[Literal["approval_refused"]] = "approval_refused"
    reason: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class UsageReported(_Event):
    """A run's token counts.

    Attributes:
        usage: The counts, of this run alone.
        run_id: The run.
    """

    type: ClassVar[Literal["usage"]] = "usage"
    usage: Usage
    run_id: str = ""

    @classmethod
    def from_raw(cls, raw: dict[str, Any]) -> UsageReported:
        """Builds the event of its plain form."""
        return cls(Usage(**raw["usage"]), raw["run_id"], raw=raw)


@dataclass(frozen=True, slots=True)
class Retry(_Event):
    """The server will try again (section 9.4).

    Attributes:
        message: A text for humans to read.
        attempt: Which attempt comes next, counted from 1, if the server said so.
        max_attempts: How many there will be at most.
        delay_ms: How long the server waits before it, in milliseconds.
    """

    type: ClassVar[Literal["retry"]] = "retry"
    message: str
    attempt: int | None = None
    max_attempts: int | None = None
    delay_ms: int | None = None


@dataclass(frozen=True, slots=True)
class LoopStatus(_Event):
    """What the runtime is doing has changed (section 12).

    Attributes:
        status: ``SENDING_API_REQUEST``, ``WAITING_ON_APPROVAL`` …
    """

    type: ClassVar[Literal["status"]] = "status"
    status: str


@dataclass(frozen=True, slots=True)
class TurnResumed(_Event):
    """The connection was lost, and the turn goes on with a new one, or has ended (section 16).

    Or it was the stream socket of a server with two (section 2.1), and events with it. No event
    reports what was said in between, but the result contains it.
    """

    type: ClassVar[Literal["resumed"]] = "resumed"


@dataclass(frozen=True, slots=True)
class EventsDropped(_Event):
    """The reader did not keep up, and events were merged, or dropped where that was not enough.

    Neighbouring pieces of one text, or of one call's arguments or output, become one event, and no
    text is missing. Only pieces of text and output, changes of status and unknown events are
    dropped; the result has all that was said.

    Attributes:
        dropped: How many events before this one; 0 where nothing is missing.
        merged: How many events went into their neighbours, among those around this one.
    """

    type: ClassVar[Literal["lagged"]] = "lagged"
    dropped: int
    merged: int = 0


@dataclass(frozen=True, slots=True)
class TurnFinished(_Event):
    """The turn is over; always the last event. It does not come if the turn raises.

    Attributes:
        result: The result, whether the turn succeeded or not: see its ``status``.
    """

    type: ClassVar[Literal["finished"]] = "finished"
    result: TurnResult

    @classmethod
    def _arrived(cls, arrival: Arrival, result: TurnResult) -> TurnFinished:
        """The event of the engine; its plain form is read when it is asked for."""
        event = object.__new__(cls)
        object.__setattr__(event, "result", result)
        object.__setattr__(event, "_arrival", arrival)
        return event


@dataclass(frozen=True, slots=True)
class UnknownEvent(_Event):
    """A delta without a class of its own. ``raw`` is the whole ``stream_delta`` frame.

    It is ``error_message``, ``loop_error``, ``status`` or another type of section 11 of the
    protocol, or one that only a newer server sends.

    Attributes:
        raw_text: The frame as it came over the wire.
    """

    type: ClassVar[Literal["unknown"]] = "unknown"
    raw_text: str = field(default="", compare=True)

    @classmethod
    def from_raw(cls, raw: dict[str, Any]) -> UnknownEvent:
        """Builds the event of the engine's form, or of one that is newer than this version."""
        text = raw["frame"] if raw.get("type") == "unknown" else json.dumps(raw)
        return cls(text, raw=parse(text))


TurnEvent: TypeAlias = (
    QueuePosition
    | RunStarted
    | RunWithdrawn
    | AssistantDelta
    | ReasoningDelta
    | ToolCallStart
    | ToolCallArguments
    | ToolOutput
    | ToolCallEnd
    | ApprovalRequested
    | ApprovalDecided
    | ApprovalRefused
    | UsageReported
    | Retry
    | LoopStatus
    | TurnResumed
    | EventsDropped
    | TurnFinished
    | UnknownEvent
)
"""Every kind of event of a turn; ``match`` on the class, or on ``type``."""


def _pieces_maker(
    kind: type[AssistantDelta | ReasoningDelta],
) -> Callable[[str, str, list[str]], list[TurnEvent]]:
    """What makes pieces of text, most of all events: past the checks of a frozen class."""
    slots: list[Any] = [getattr(kind, name) for name in ("text", "message_id", "run_id")]
    set_text, set_message_id, set_run_id = (slot.__set__ for slot in slots)

    def make(message_id: str, run_id: str, texts: list[str]) -> list[TurnEvent]:
        # Field by field, so that no line of Python is run for each event.
        events: list[TurnEvent] = list(map(object.__new__, repeat(kind, len(texts))))
        for done in (
            map(set_text, events, texts),
            map(set_message_id, events, repeat(message_id)),
            map(set_run_id, events, repeat(run_id)),
        ):
            deque(done, maxlen=0)
        return events

    return make


_CLASSES: Mapping[str, Any] = {
    kind.type: kind
    for kind in (
        QueuePosition,
        RunStarted,
        RunWithdrawn,
        AssistantDelta,
        ReasoningDelta,
        ToolCallStart,
        ToolCallArguments,
        ToolOutput,
        ToolCallEnd,
        ApprovalRequested,
        ApprovalDecided,
        ApprovalRefused,
        UsageReported,
        Retry,
        LoopStatus,
        TurnResumed,
        EventsDropped,
    )
}


def _late_raw(kind: Any, make: Callable[[Any], dict[str, Any]]) -> None:
    """The plain form of events that are made without one, for few ever ask for it."""
    slot = kind.raw

    def get(event: _Event) -> dict[str, Any]:
        try:
            raw: dict[str, Any] = slot.__get__(event)
        except AttributeError:
            raw = make(event)
            slot.__set__(event, raw)
        return raw

    # Not in the body of the class: the decorator takes fields out of it.
    kind.raw = property(get, slot.__set__)


def _piece_raw(event: AssistantDelta | ReasoningDelta) -> dict[str, Any]:
    names = ("run_id", "message_id", "text")
    return {"type": event.type, **{name: getattr(event, name) for name in names}}


def _finished_raw(event: Any) -> dict[str, Any]:
    return {"type": event.type, "result": event._arrival.raw}  # noqa: SLF001 - of this module


_late_raw(AssistantDelta, _piece_raw)
_late_raw(ReasoningDelta, _piece_raw)
_late_raw(TurnFinished, _finished_raw)

_PIECES: Mapping[str, Any] = {
    kind.type: _pieces_maker(kind) for kind in (AssistantDelta, ReasoningDelta)
}


def event_from_raw(raw: dict[str, Any]) -> TurnEvent:
    """Builds an event of the engine's plain form; one of a type unknown here is kept as it is."""
    kind = _CLASSES.get(raw["type"], UnknownEvent)
    event: TurnEvent = kind.from_raw(raw)
    return event


def events_from_native(taken: list[Taken]) -> tuple[list[TurnEvent], list[TurnEvent]]:
    """Builds the events of a part of those that a turn has had: all, and those without pieces."""
    events: list[TurnEvent] = []
    others: list[TurnEvent] = []
    for one in taken:
        if isinstance(one, tuple):
            kind, *pieces = one
            events += _PIECES[kind](*pieces)
        else:
            event = event_from_raw(parse(one) if isinstance(one, str) else one)
            events.append(event)
            others.append(event)
    return events, others
