from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any, get_args

import pytest

import letta_app_client as letta
from letta_app_client import events
from letta_app_client.events import event_from_raw

ASKED = {
    "type": "control_request",
    "request_id": "perm-1",
    "request": {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}},
}
USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}

# What the engine writes, and what the class's own attributes are then.
CASES: list[tuple[dict[str, Any], type, tuple[Any, ...]]] = [
    ({"type": "queued", "position": 2}, letta.QueuePosition, (2,)),
    ({"type": "run_started", "run_id": "r"}, letta.RunStarted, ("r",)),
    ({"type": "run_withdrawn", "run_id": "r"}, letta.RunWithdrawn, ("r",)),
    (
        {"type": "assistant_delta", "run_id": "r", "message_id": "m", "text": "t"},
        letta.AssistantDelta,
        ("t", "m", "r"),
    ),
    (
        {"type": "reasoning_delta", "run_id": "r", "message_id": "m", "text": "t"},
        letta.ReasoningDelta,
        ("t", "m", "r"),
    ),
    (
        {"type": "tool_call_start", "run_id": "r", "call_id": "c", "name": "Bash"},
        letta.ToolCallStart,
        ("Bash", "c", "r"),
    ),
    (
        {"type": "tool_call_arguments", "call_id": "c", "arguments": "{}"},
        letta.ToolCallArguments,
        ("{}", "c"),
    ),
    ({"type": "tool_output", "call_id": "c", "output": "o"}, letta.ToolOutput, ("o", "c")),
    (
        {"type": "tool_call_end", "call_id": "c", "status": "success", "output": "o"},
        letta.ToolCallEnd,
        ("o", "success", "c"),
    ),
    (
        {"type": "approval_requested", "request_id": "perm-1", "frame": json.dumps(ASKED)},
        letta.ApprovalRequested,
        (letta.ApprovalRequest(json.dumps(ASKED)), "perm-1"),
    ),
    (
        {"type": "approval_decided", "request_id": "perm-1", "decision": None},
        letta.ApprovalDecided,
        (None, "perm-1"),
    ),
    (
        {"type": "approval_refused", "request_id": "perm-1", "reason": "late"},
        letta.ApprovalRefused,
        ("late", "perm-1"),
    ),
    (
        {"type": "usage", "run_id": "r", "usage": USAGE},
        letta.UsageReported,
        (letta.Usage(10, 2, 12), "r"),
    ),
    (
        {"type": "retry", "message": "m", "attempt": 1, "max_attempts": 3, "delay_ms": 1000},
        letta.Retry,
        ("m", 1, 3, 1000),
    ),
    ({"type": "status", "status": "WAITING_ON_INPUT"}, letta.LoopStatus, ("WAITING_ON_INPUT",)),
    ({"type": "resumed"}, letta.TurnResumed, ()),
    ({"type": "lagged", "dropped": 7, "merged": 9}, letta.EventsDropped, (7, 9)),
]


@pytest.mark.parametrize(("raw", "kind", "values"), CASES)
def test_every_event(raw: dict[str, Any], kind: Any, values: tuple[Any, ...]) -> None:
    event: Any = event_from_raw(raw)
    assert type(event) is kind
    assert tuple(getattr(event, name) for name in kind.__match_args__) == values
    assert event.type == raw["type"]
    assert event.raw is raw
    assert event.to_dict() == raw
    assert event.to_dict() is not raw
    for name, value in list(raw.items())[:2]:
        assert event[name] == value
    assert event.get("no_such_field", 3) == 3
    assert "type" in event
    assert event == copy.deepcopy(event) == pickle.loads(pickle.dumps(event))  # noqa: S301
    first = "".join(f"{name}=" for name in kind.__match_args__[:1])
    assert repr(event).startswith(f"{kind.__name__}({first}")
    assert "raw=" not in repr(event)
    for name in (*kind.__match_args__, "raw"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(event, name, "other")
    # Dataclasses with slots say so in another way for what is no field of theirs.
    for name in ("type", "new"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(event, name, "other")
    assert not hasattr(event, "__dict__")


def test_there_is_a_case_for_every_class() -> None:
    others = {letta.TurnFinished, letta.UnknownEvent}
    assert {kind for _, kind, _ in CASES} | others == set(get_args(events.TurnEvent))


def test_the_most_useful_field_is_matched_first() -> None:
    match event_from_raw(CASES[3][0]):
        case letta.AssistantDelta(text):
            assert text == "t"
        case other:
            pytest.fail(repr(other))


def test_an_unknown_event_keeps_its_frame() -> None:
    frame = '{"type": "stream_delta", "delta": {"message_type": "new", "n": 12345678901234567890}}'
    event = event_from_raw({"type": "unknown", "frame": frame})
    assert isinstance(event, letta.UnknownEvent)
    assert event.type == "unknown"
    assert event.raw_text == frame
    assert event["delta"]["message_type"] == "new"
    assert event.to_dict() == json.loads(frame)


def test_an_event_of_a_newer_engine_is_kept() -> None:
    raw = {"type": "invented_later", "x": 1}
    event = event_from_raw(raw)
    assert isinstance(event, letta.UnknownEvent)
    assert event.raw == raw
    assert json.loads(event.raw_text) == raw


def test_the_end_has_the_result() -> None:
    result = letta.TurnResult(letta.Fields({"agent_id": "a", "conversation_id": "c"}), "completed")
    event = letta.TurnFinished(result)
    assert event.type == "finished"
    assert event.raw["result"]["status"] == "completed"


def test_a_program_can_make_events_for_its_tests() -> None:
    assert letta.AssistantDelta("hi").raw == {
        "type": "assistant_delta",
        "text": "hi",
        "message_id": "",
        "run_id": "",
    }
    assert letta.AssistantDelta("hi") == letta.AssistantDelta("hi")
    assert letta.UsageReported(letta.Usage(total_tokens=3))["usage"]["total_tokens"] == 3
