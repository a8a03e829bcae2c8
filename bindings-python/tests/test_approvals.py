"""Permission requests and decisions as values."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

import letta_app_client as letta
from letta_app_client import ApprovalRequest, Question, QuestionOption, Suggestion, allow, deny

TRACES = Path(__file__).parents[2] / "protocol" / "traces" / "single"


def recorded(name: str) -> list[dict[str, Any]]:
    """The frames of a recording."""
    lines = (TRACES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    frames = [json.loads(line).get("frame") for line in lines if line]
    return [frame for frame in frames if isinstance(frame, dict)]


def asked(name: str) -> ApprovalRequest:
    frame = next(frame for frame in recorded(name) if frame["type"] == "control_request")
    return ApprovalRequest(json.dumps(frame))


def answered(name: str) -> Any:
    payloads = (frame.get("payload") for frame in recorded(name) if frame["type"] == "input")
    return next(it["decision"] for it in payloads if it and it["kind"] == "approval_response")


def test_a_request_of_a_real_server() -> None:
    request = asked("approval_suggestion")
    assert (request.tool_name, request.tool_call_id) == ("Bash", "call_0008")
    assert request.request_id == "perm-call_0008"
    assert "touch" in request.input.command
    assert {**request.input, "timeout": 60}["timeout"] == 60
    (suggestion,) = request.suggestions
    assert suggestion.id == "save-default"
    assert "don't ask again" in suggestion.text
    assert request.blocked_path is None
    assert request.questions == ()
    assert sorted(request.runtime) == ["agent_id", "conversation_id"]
    assert json.loads(request.raw_text) == request.raw == request.to_dict()


def test_the_diffs_of_a_request() -> None:
    (diff,) = asked("approval_allow").diffs
    assert diff.fileName == "allow.txt"
    assert diff.hunks[0].lines[0].content == "hello"


def test_the_questions_of_the_agent() -> None:
    request = asked("ask_user_question")
    options = (QuestionOption("A", "a"), QuestionOption("B", "b"))
    assert request.questions == (Question("Which?", "Pick", options, multi_select=False),)
    # What the recorded client answered.
    assert request.answer({"Which?": "A"}).to_dict() == answered("ask_user_question")
    several = request.answer({"Which?": ["A", "B"]}).to_dict()
    assert several["updated_input"]["answers"] == {"Which?": "A, B"}
    with pytest.raises(ValueError, match="does not ask 'Why"):
        request.answer({"Why?": "A"})
    with pytest.raises(ValueError, match="does not ask"):
        asked("approval_allow").answer({"Which?": "A"})
    wrong: list[tuple[Any, str]] = [
        (5, "^answers: expected a mapping from questions to answers, got int"),
        ({"Which?": 5}, r"^answers\['Which\?'\]: expected text or several texts, got int"),
        ({"Which?": ["A", 5]}, r"^answers\['Which\?'\]: expected texts, got int"),
    ]
    for answers, words in wrong:
        with pytest.raises(TypeError, match=words):
            request.answer(answers)


def test_decisions_as_they_go_over_the_wire() -> None:
    assert allow().to_dict() == answered("approval_allow")
    updated = answered("approval_updated_input")
    assert updated.keys() == {"behavior", "message", "updated_input"}
    assert allow(message=updated["message"], updated_input=updated["updated_input"]).to_dict() == (
        updated
    )
    suggested = answered("approval_suggestion")
    assert allow(suggestions=asked("approval_suggestion").suggestions).to_dict() == suggested
    assert allow(suggestions=["save-default"]).to_dict() == suggested
    assert allow(suggestions="save-default") == allow(suggestions=Suggestion("save-default"))
    denied = answered("approval_deny")
    assert deny(denied["message"]).to_dict() == denied
    assert allow(message="go").to_dict() == {"behavior": "allow", "message": "go"}


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: deny(None), "message"),  # type: ignore[arg-type]
        (lambda: allow(message=3), "message"),  # type: ignore[arg-type]
        (lambda: allow(updated_input=[]), "updated_input"),  # type: ignore[arg-type]
        (lambda: allow(suggestions=[3]), "suggestions"),  # type: ignore[list-item]
        (lambda: allow(suggestions=5), "suggestions"),  # type: ignore[arg-type]
        (lambda: allow(suggestions={"a": 1}), "suggestions"),
    ],
)
def test_decisions_that_cannot_be_made(make: Any, name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name}: expected"):
        make()


def test_a_request_is_a_value() -> None:
    request = asked("approval_allow")
    assert request == copy.deepcopy(request) == ApprovalRequest(request.raw_text)
    assert hash(request) == hash(ApprovalRequest(request.raw_text))
    assert request != request.raw
    assert repr(request).startswith("ApprovalRequest('Write', {")
    with pytest.raises(AttributeError, match="immutable"):
        request.tool_name = ""  # type: ignore[misc]
    with pytest.raises(AttributeError, match="immutable"):
        del request.input
    match request:
        case ApprovalRequest("Write", {"file_path": path}):
            assert path.endswith("allow.txt")
        case _:
            pytest.fail("no match")


def test_a_request_of_another_shape_is_tolerated() -> None:
    request = ApprovalRequest('{"type":"control_request","request":{"input":3,"diffs":{}}}')
    assert (request.tool_name, request.request_id, request.tool_call_id) == ("", "", "")
    assert dict(request.input) == {}
    assert (request.suggestions, request.diffs, request.questions) == ((), (), ())
    assert request.runtime.agent_id is None
    assert ApprovalRequest('{"request":null}').tool_name == ""


def test_an_error_without_a_result_has_no_request() -> None:
    error = letta.ApprovalRequired("asked")
    assert error.request is None
    with pytest.raises(letta.InvalidOption, match="respond: "):
        error.respond(letta.allow())
