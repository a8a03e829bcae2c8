"""What a turn has come to so far, made of its events, in the order in which it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._parse import parse
from ..approvals import ApprovalRequest
from ..results import ToolCall, TurnResult

__all__ = ["Call", "Said", "Story"]


@dataclass
class Said:
    """Something the agent said, or thought."""

    is_thought: bool
    message_id: str = ""
    run_id: str = ""
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it."""
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""


@dataclass
class Call:
    """A call of a tool."""

    call_id: str
    name: str = ""
    run_id: str = ""
    arguments: list[str] = field(default_factory=list)
    output: str = ""
    status: str = ""
    asked: ApprovalRequest | None = None
    decision: str = ""
    pictures: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def input(self) -> Any:
        """The arguments, as far as they can be read."""
        try:
            return parse("".join(self.arguments))
        except ValueError:
            return None


class Story:
    """Takes the events of one turn. It knows no notebook and no time."""

    def __init__(self) -> None:
        self.items: list[Said | Call] = []
        self.notes: list[str] = []
        self.waiting: dict[str, ApprovalRequest] = {}
        self.tokens = 0
        self.state = "sent"
        self.result: TurnResult | None = None
        self.failure = ""
        self._calls: dict[str, Call] = {}

    @property
    def running_tool(self) -> str:
        """The tool that has not returned yet; empty where none runs."""
        open_calls = [call for call in self._calls.values() if not call.status and call.name]
        return open_calls[-1].name if open_calls and self.result is None else ""

    def take(self, event: Mapping[str, Any]) -> None:
        """Takes an event in its plain form. One of a type that is unknown changes nothing."""
        handle = getattr(self, f"_{event.get('type')}", None)
        if handle is not None:
            self.state = "running"
            handle(event)

    def finish(self, result: TurnResult | None, failure: str = "") -> None:
        """Takes the outcome, which counts from now on."""
        self.result, self.failure = result, failure
        self.waiting.clear()
        if result is None:
            return
        self.tokens = result.usage.total_tokens
        if not result.messages and not result.text:
            return  # nothing is known that the events have not told
        self.items = [self._settled(one) for one in result.messages]

    def picture(self, call_id: str, part: Mapping[str, Any]) -> None:
        """Takes an image that a tool has returned."""
        self._call(call_id).pictures.append(part)

    def _settled(self, message: Any) -> Said | Call:
        if not isinstance(message, ToolCall):
            thought = message.type == "reasoning"
            return Said(thought, message.message_id, message.run_id, [message.text])
        call = self._calls.get(message.id) or Call(message.id)
        call.name, call.arguments = message.name, [message.arguments]
        call.status, call.output = message.status or "", message.output or ""
        return call

    def _call(self, call_id: str) -> Call:
        if call_id not in self._calls:
            call = self._calls[call_id] = Call(call_id)
            self.items.append(call)
        return self._calls[call_id]

    def _say(self, event: Mapping[str, Any], *, thought: bool) -> None:
        last = self.items[-1] if self.items else None
        key = (thought, event.get("message_id", ""), event.get("run_id", ""))
        if not isinstance(last, Said) or (last.is_thought, last.message_id, last.run_id) != key:
            last = Said(*key)
            self.items.append(last)
        last.pieces.append(event["text"])

    # --- by type of event: see ``events.py`` -----------------------------------------------------

    def _assistant_delta(self, event: Mapping[str, Any]) -> None:
        self._say(event, thought=False)

    def _reasoning_delta(self, event: Mapping[str, Any]) -> None:
        self._say(event, thought=True)

    def _queued(self, event: Mapping[str, Any]) -> None:
        self.state = f"queued at position {event['position']}"

    def _run_started(self, _event: Mapping[str, Any]) -> None:
        """Nothing to be seen, but the turn runs."""

    def _run_withdrawn(self, event: Mapping[str, Any]) -> None:
        self.items = [item for item in self.items if item.run_id != event["run_id"]]

    def _tool_call_start(self, event: Mapping[str, Any]) -> None:
        call = self._call(event.get("call_id", ""))
        call.name, call.run_id = event["name"], event.get("run_id", "")

    def _tool_call_arguments(self, event: Mapping[str, Any]) -> None:
        self._call(event.get("call_id", "")).arguments.append(event["arguments"])

    def _tool_output(self, event: Mapping[str, Any]) -> None:
        self._call(event.get("call_id", "")).output = event["output"]

    def _tool_call_end(self, event: Mapping[str, Any]) -> None:
        call = self._call(event.get("call_id", ""))
        call.output, call.status = event["output"], event.get("status") or "success"

    def _approval_requested(self, event: Mapping[str, Any]) -> None:
        request = ApprovalRequest(event["frame"])
        self.waiting[event["request_id"]] = request
        call = self._call(request.tool_call_id)
        call.asked = request
        call.name = call.name or request.tool_name

    def _approval_decided(self, event: Mapping[str, Any]) -> None:
        request = self.waiting.pop(event["request_id"], None)
        if request is not None:
            self._call(request.tool_call_id).decision = event["decision"] or "decided elsewhere"

    def _approval_refused(self, event: Mapping[str, Any]) -> None:
        self.notes.append(f"an answer to a permission request had no effect: {event['reason']}")

    def _usage(self, event: Mapping[str, Any]) -> None:
        self.tokens += int(event["usage"].get("total_tokens", 0))

    def _retry(self, event: Mapping[str, Any]) -> None:
        self.notes.append(f"the server is trying again: {event['message']}")

    def _resumed(self, _event: Mapping[str, Any]) -> None:
        self.notes.append("the connection was lost; the turn goes on with a new one")

    def _lagged(self, event: Mapping[str, Any]) -> None:
        if event.get("dropped"):
            self.notes.append(f"{event['dropped']} events are not shown; the result has all")
