from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable

import pytest

import letta_app_client as letta
from letta_app_client import (
    AssistantMessage,
    ReasoningMessage,
    StructuredResult,
    ToolCall,
    ToolCallEnd,
    TurnFinished,
    TurnResult,
)
from letta_app_client.testing import MockServer, script
from tests.helpers import message, start


@pytest.mark.anyio
async def test_the_messages_of_a_turn_in_order(scripted: Callable[..., MockServer]) -> None:
    calls = [("Read", {"path": "a.py"}), ("Read", {"path": "a.py"})]
    mock = scripted(script.turn(["4", "2"], reasoning=["h", "m"], tool_calls=calls))
    async with letta.connect(mock.url) as client:
        runtime = await start(client)
        result = await client.run_turn(runtime=runtime, payload=message())
    kinds = [type(one) for one in result.messages]
    assert kinds == [ToolCall, ToolCall, ReasoningMessage, AssistantMessage]
    assert all(one is call for one, call in zip(result.messages, result.tool_calls, strict=False))
    match result.messages[2:]:
        case (ReasoningMessage(thought), AssistantMessage(text, run_id, message_id)):
            assert (thought, text) == ("hm", "42")
            assert run_id == result.run_ids[-1]
            assert message_id
        case other:
            pytest.fail(repr(other))
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["messages"][0] == {"type": "tool_call", "index": 0}
    assert plain["messages"][1] == {"type": "tool_call", "index": 1}
    types = ["tool_call", "tool_call", "reasoning", "assistant"]
    assert [one.type for one in result.messages] == types
    assert [one["type"] for one in plain["messages"]] == types
    assert plain["tool_calls"][0] == result.tool_calls[0].to_dict()
    assert plain["usage"] == result.usage.to_dict()
    again = TurnResult.from_raw(plain)
    assert again == result
    assert again.to_dict() == result.to_dict()
    assert again.messages[1] is again.tool_calls[1]


@pytest.mark.anyio
async def test_results_read_as_json_too(scripted: Callable[..., MockServer]) -> None:
    turn = script.turn(["a"], reasoning=["r"], tool_calls=[("Read", {"path": "a.py"})])
    mock = scripted(turn, script.turn(error="no"))
    async with letta.connect(mock.url) as client:
        batch = await letta.map(client, ["p", "q"], agents="agent-1", limit=1)
    result = batch.results[0]
    assert (result["text"], result.get("text"), result.get("nothing", 5)) == ("a", "a", 5)
    assert result["tool_calls"][0]["name"] == "Read"
    assert result["usage"]["total_tokens"] == result.usage.total_tokens
    assert "text" in result
    assert "type" not in result
    for missing in ("nothing", "to_dict", 0):
        with pytest.raises(KeyError):
            result[missing]  # type: ignore[index]
    with pytest.raises(TypeError, match="not iterable"):
        iter(result)  # type: ignore[call-overload]
    plain = result.to_dict()
    messages = [one.to_dict() for one in result.messages]
    assert [one["type"] for one in messages] == ["tool_call", "reasoning", "assistant"]
    assert messages[0] == plain["tool_calls"][0]
    assert messages[1:] == plain["messages"][1:]
    assert [run.to_dict() for run in result.runs] == plain["runs"]
    assert all(one["type"] == one.type for one in result.messages)
    items = json.loads(json.dumps(batch.to_dict()))["items"]
    assert items[0] == {"prompt": "p", "agent_id": "agent-1", "result": plain, "error": None}
    error = batch[1].error
    assert isinstance(error, letta.TurnFailed)
    assert error.result is not None
    assert items[1]["error"]["code"] == "turn_failed"
    assert items[1]["error"]["result"] == error.result.to_dict()
    assert batch[1]["prompt"] == "q"


@pytest.mark.anyio
async def test_a_result_tells_of_itself_in_one_line(scripted: Callable[..., MockServer]) -> None:
    calls = [script.call("Read", result="y" * 10_000)]
    turns = [script.turn("x" * 10_000, tool_calls=calls), script.turn("7"), script.turn(error="no")]
    mock = scripted(*turns)
    async with letta.connect(mock.url) as client:
        batch = await letta.map(client, ["p", "q", "r"], agents="agent-1", limit=1)
    long, short = batch.results
    assert repr(long) == f"<TurnResult completed: '{'x' * 80}…', 1 tool call, 24 tokens>"
    assert repr(short) == "<TurnResult completed: '7', 0 tool calls, 12 tokens>"
    assert repr(long) in repr(batch[0])
    failed = batch[2].error
    assert isinstance(failed, letta.TurnFailed)
    begin = "<TurnResult failed: 'Hello world', error 'no', 0 tool calls, "
    assert repr(failed.result).startswith(begin)
    assert failed.result is not None
    structured = StructuredResult(**failed.result.__getstate__(), output={"a": "z" * 100})
    assert f"tokens, output {{'a': '{'z' * 73}…>" in repr(structured)
    assert repr(structured).startswith("<StructuredResult failed: ")


def test_an_empty_result_round_trips() -> None:
    result = TurnResult(letta.Fields({"agent_id": "a", "conversation_id": "c"}))
    assert TurnResult.from_raw(result.to_dict()) == result


@pytest.mark.anyio
async def test_what_is_read_late_is_there_for_everybody(
    scripted: Callable[..., MockServer],
) -> None:
    """Only the text crosses with the result; all else is read when it is asked for."""
    printed = 'a "line"\n' * 1000
    mock = scripted(script.turn("42", tool_calls=[script.call("Bash", result=printed)]))
    async with letta.connect(mock.url) as client:
        runtime = await start(client)

        async def ended() -> TurnResult:
            return await client.run_turn(runtime=runtime, payload=message())

        assert (await ended()).tool_calls[0].output == printed
        assert copy.copy(await ended()).usage.prompt_tokens == 20
        assert copy.deepcopy(await ended()).runtime == runtime
        assert dataclasses.replace(await ended(), text="43").run_ids
        pickled = await ended()
        again = pickle.loads(pickle.dumps(pickled))  # noqa: S301 - just made
        assert again == pickled
        assert again.tool_calls[0].output == printed
        assert "1 tool call, 24 tokens" in repr(await ended())
        with pytest.raises(AttributeError, match="'TurnResult' object has no attribute 'speech'"):
            _ = (await ended()).speech  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        turn = client.send_turn(runtime=runtime, payload=message())
        events = [event async for event in turn]
    *_, shown, finished = [
        event for event in events if isinstance(event, (ToolCallEnd, TurnFinished))
    ]
    assert shown["output"] == printed
    assert finished.raw["result"]["tool_calls"][0]["output"] == printed
    assert finished == TurnFinished(await turn)
    assert (
        copy.deepcopy(finished).raw
        == finished.raw
        == {"type": "finished", "result": finished.raw["result"]}
    )
