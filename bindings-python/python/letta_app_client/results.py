"""What a turn came to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from ._decode import decode
from ._parse import parse
from ._plain import Plain
from ._rich import Rich
from .messages import Fields, Message

if TYPE_CHECKING:
    from ._native import Outcome

__all__ = [
    "AssistantMessage",
    "InputDelivery",
    "ReasoningMessage",
    "RunText",
    "ToolCall",
    "TurnMessage",
    "TurnResult",
    "TurnStatus",
    "Usage",
]

InputDelivery = Literal["sent", "recovered", "resent", "undelivered", "unknown"]
"""How an input came to its turn; see ``TurnResult.delivery``."""

TurnStatus = Literal["completed", "aborted", "failed", "requires_approval", "disconnected"]


@dataclass(frozen=True)
class Usage(Plain):
    """Token counts, summed over the runs of a turn.

    Attributes:
        prompt_tokens: Tokens of the prompts.
        completion_tokens: Tokens of the answers.
        total_tokens: Their sum, as the server counts it.
        cached_input_tokens: Prompt tokens read from the provider's cache.
        cache_write_tokens: Prompt tokens written to the provider's cache.
        reasoning_tokens: Tokens spent on reasoning.
        step_count: Steps taken.
        context_tokens: Tokens in the context window after the last run; this one is not a sum.
            ``None`` if the server did not say.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    step_count: int = 0
    context_tokens: int | None = None


@dataclass(frozen=True)
class ToolCall(Plain):
    """One tool call of a turn.

    Attributes:
        id: The id of the call.
        name: The tool.
        arguments: The arguments as JSON text, as the model wrote them.
        status: ``success`` or ``error``; ``None`` if it is not known.
        output: What the tool returned.
        run_id: The run that made the call.
    """

    type: ClassVar[Literal["tool_call"]] = "tool_call"
    id: str
    name: str
    arguments: str = ""
    status: str | None = None
    output: str | None = None
    run_id: str = ""

    @property
    def input(self) -> Any:
        """The parsed arguments; ``None`` when the model wrote something that is not JSON."""
        try:
            return parse(self.arguments)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class AssistantMessage(Plain):
    """Something the agent said.

    Attributes:
        text: All of it.
        run_id: The run.
        message_id: The same as in the events it is made of.
    """

    type: ClassVar[Literal["assistant"]] = "assistant"
    text: str
    run_id: str = ""
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class ReasoningMessage(Plain):
    """Something the agent thought.

    Attributes:
        text: All of it.
        run_id: The run.
        message_id: The same as in the events it is made of.
    """

    type: ClassVar[Literal["reasoning"]] = "reasoning"
    text: str
    run_id: str = ""
    message_id: str = ""


TurnMessage: TypeAlias = AssistantMessage | ReasoningMessage | ToolCall
"""One message of a turn, or a tool call between messages."""


@dataclass(frozen=True)
class RunText(Plain):
    """The text that one run contributed.

    Attributes:
        run_id: The run.
        text: Its assistant text.
        withdrawn: Whether the run failed and was retried, so that its text does not count.
    """

    run_id: str
    text: str
    withdrawn: bool = False


class Arrival:
    """The engine's result of a turn, in its plain form once somebody asks for that."""

    __slots__ = ("_outcome", "_raw", "status", "text")

    def __init__(self, outcome: Outcome) -> None:
        self._outcome: Outcome | None = outcome
        self._raw: dict[str, Any] | None = None
        self.status = outcome.status
        self.text = outcome.text

    @property
    def counted(self) -> Usage:
        """What the turn adds to a sum of token counts, for which the rest is not read."""
        outcome = self._outcome
        if outcome is not None:
            return Usage(**parse(outcome.counted))
        return Usage(**self.raw.get("own_usage", self.raw["usage"]))

    @property
    def raw(self) -> dict[str, Any]:
        """The plain form, read once."""
        outcome = self._outcome
        if outcome is not None:
            text, outputs = outcome.read()
            raw = parse(text)
            for index, output in outputs:
                raw["tool_calls"][index]["output"] = output
            # In this order: another thread may ask at the same time.
            self._raw, self._outcome = raw, None
        assert self._raw is not None  # noqa: S101 - one of the two is there
        return self._raw


@dataclass(frozen=True)
class TurnResult(Plain, Rich):
    """The outcome of a turn or, inside an error, what is known of it.

    Attributes:
        runtime: The agent and the conversation, usable as ``runtime=`` of the next command.
        status: ``completed``, ``aborted``, ``failed``, ``requires_approval`` or ``disconnected``;
            ``None`` only inside an error that was raised before the outcome was known.
        text: The assistant's text of all runs in order, without runs that failed and were retried.
        runs: The text run by run.
        tool_calls: The tool calls in order.
        messages: What the agent said, thought and called, in order; the tool calls are the same as
            in ``tool_calls``. Runs that failed and were retried are left out.
        usage: Token counts, summed over the runs.
        own_usage: The part of ``usage`` that no turn which has ended before has in its own, where
            that is less than all: turns that the server has answered together (``merged_with``)
            share runs. What several turns used is the sum of these.
        stop_reason: The server's word for why the turn ended, such as ``end_turn``; unknown words
            are kept.
        error: The server's message for people, if the turn failed.
        run_ids: The runs of the turn in order.
        client_message_ids: The ids of the messages that this input carried.
        merged_with: Ids of other inputs' messages that the same turn answered (protocol section
            10).
        turn_id: The server's id of the turn's batch; it cannot be used to match a turn to its input
            (section 10).
        disposition: ``started`` or ``queued``, where the server said so.
        completed_by: What showed that the turn was over (sections 17.2 and 17.3): ``turn_finished``
            or, of older servers, ``stop_reason``, ``loop_error`` or ``interrupted``;
            ``loop_status_waiting_on_approval``, ``removed_from_queue`` or ``stored_messages``.
        terminal_message: The frame that showed it.
        duration: Seconds from sending the input to the end.
        retries: How many runs failed and were retried.
        detached: Whether the runtime's state was lost while the turn ran (section 18); nobody can
            approve or abort anything in such a turn.
        delivery: How the input reached its turn, if connections were lost (section 16). ``sent``:
            it was sent once, and the connection held. ``recovered``: the result contains what the
            server has stored, which may be incomplete. ``resent``: the stored
            conversation proved that the input had not arrived, and it was sent again. Inside a
            ``TurnInterrupted`` it can also be ``undelivered``: the input is known not to have
            arrived; or ``unknown``: nobody knows.
    """

    _rich: ClassVar[str] = "result"
    runtime: Fields
    status: TurnStatus | None = None
    text: str = ""
    runs: tuple[RunText, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    messages: tuple[TurnMessage, ...] = ()
    usage: Usage = field(default_factory=Usage)
    stop_reason: str | None = None
    error: str | None = None
    run_ids: tuple[str, ...] = ()
    client_message_ids: tuple[str, ...] = ()
    merged_with: tuple[str, ...] = ()
    turn_id: str | None = None
    disposition: str | None = None
    completed_by: str | None = None
    terminal_message: Message | None = None
    duration: float = 0.0
    retries: int = 0
    detached: bool = False
    delivery: InputDelivery = "sent"
    own_usage: Usage | None = None

    @classmethod
    def _arrived(cls, arrival: Arrival) -> TurnResult:
        """The result of the engine, of which all but the text is read when it is asked for."""
        result = object.__new__(cls)
        vars(result).update(status=arrival.status, text=arrival.text, _arrival=arrival)
        return result

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Also asked for by copies that have nothing yet.
            here = vars(self)
            arrival = here.get("_arrival")
            if arrival is not None and not name.startswith("_"):
                here.update(vars(TurnResult.from_raw(arrival.raw)))
                here.pop("_arrival", None)
            if name not in here:
                kind = type(self).__name__
                raise AttributeError(f"{kind!r} object has no attribute {name!r}")
            return here[name]

    def __repr__(self) -> str:
        # Not all of it: the same text is in it three times, and each output of a tool twice.
        return f"<{type(self).__name__} {', '.join(self._told())}>"

    def _told(self) -> list[str]:
        calls, tokens = len(self.tool_calls), self.usage.total_tokens
        return [
            f"{self.status or 'unknown'}: {shortened(self.text)!r}",
            *([] if self.error is None else [f"error {shortened(self.error)!r}"]),
            f"{calls} tool call{'' if calls == 1 else 's'}",
            f"{tokens:,} tokens",
        ]

    def __getstate__(self) -> dict[str, Any]:
        # For copies and pickles: all of it.
        return {key.name: getattr(self, key.name) for key in fields(self)}

    @classmethod
    def from_raw(cls, raw: Mapping[str, Any]) -> TurnResult:
        """Builds a result from the engine's JSON form or from what ``to_dict`` returned.

        The engine's has ``duration_ms`` in milliseconds, and the text of ``terminal_message``.
        """
        from .protocol import RuntimeScope  # noqa: PLC0415 - with the first frame, see _decode

        values = {key.name: raw[key.name] for key in fields(cls) if key.name in raw}
        terminal = raw.get("terminal_message")
        if isinstance(terminal, Mapping):
            terminal = json.dumps(terminal)
        calls = tuple(_call(call) for call in raw.get("tool_calls", ()))
        values |= {
            "runtime": RuntimeScope(raw["runtime"]),
            "runs": tuple(RunText(**run) for run in raw.get("runs", ())),
            "tool_calls": calls,
            "messages": tuple(_message(one, calls) for one in raw.get("messages", ())),
            "usage": Usage(**raw.get("usage", {})),
            "own_usage": Usage(**own) if (own := raw.get("own_usage")) else None,
            "terminal_message": None if terminal is None else decode(terminal),
            "duration": raw.get("duration", raw.get("duration_ms", 0) / 1000),
        }
        for name in ("run_ids", "client_message_ids", "merged_with"):
            values[name] = tuple(raw.get(name, ()))
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as plain data, ready for ``json.dumps`` and for ``from_raw``.

        A tool call among the ``messages`` is the ``index`` of its place in ``tool_calls``.
        """
        plain = {key.name: getattr(self, key.name) for key in fields(self)}
        plain["runtime"] = self.runtime.to_dict()
        plain["runs"] = [run.to_dict() for run in self.runs]
        plain["tool_calls"] = [call.to_dict() for call in self.tool_calls]
        plain["messages"] = [self._plain(one) for one in self.messages]
        plain["usage"] = self.usage.to_dict()
        plain["own_usage"] = None if self.own_usage is None else self.own_usage.to_dict()
        terminal = self.terminal_message
        plain["terminal_message"] = None if terminal is None else terminal.to_dict()
        for name in ("run_ids", "client_message_ids", "merged_with"):
            plain[name] = list(plain[name])
        return plain

    def _plain(self, message: TurnMessage) -> dict[str, Any]:
        if isinstance(message, ToolCall):
            return {"type": message.type, "index": self.tool_calls.index(message)}
        return message.to_dict()


_SHORT = 80


def shortened(text: str) -> str:
    """The beginning of a text, for people who look at what has it."""
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


# Defaults are for those who make results; what is not read yet must be missing.
for _field in fields(TurnResult):
    if hasattr(TurnResult, _field.name):
        delattr(TurnResult, _field.name)
del _field


def _call(raw: Mapping[str, Any]) -> ToolCall:
    return ToolCall(**{name: raw[name] for name in raw if name != "type"})


def _message(raw: Mapping[str, Any], calls: tuple[ToolCall, ...]) -> TurnMessage:
    if raw["type"] == "tool_call":
        return calls[int(raw["index"])]
    kind = AssistantMessage if raw["type"] == "assistant" else ReasoningMessage
    return kind(raw["text"], raw["run_id"], raw["message_id"])
