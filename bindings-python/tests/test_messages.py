from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import Fields, Message, TurnResult
from letta_app_client.testing import MockServer

TEXT = (
    '{"type":"x", "n":9007199254740993,"f":1.50,"a":{"b":[{"c":1},[2]]},"items":[],"é":"\\u00e9"}'
)


def test_fields_are_attributes_all_the_way_down() -> None:
    message = Message(TEXT)
    assert message.type == "x"
    assert message.n == 9007199254740993
    assert message.a.b[0].c == 1
    assert message.a.b[1] == [2]
    assert message["a"]["b"][0]["c"] == 1
    assert message.get("missing") is None
    assert message.get("missing", 3) == 3
    assert message["items"] == []
    assert message.é == "é"
    assert "a" in message
    assert "a" in dir(message)
    assert list(message) == ["type", "n", "f", "a", "items", "é"]


def test_raw_is_exact() -> None:
    message = Message(TEXT)
    assert message.raw_text == TEXT
    assert message.raw == json.loads(TEXT)
    assert type(message.raw["a"]) is dict
    changed = message.to_dict()
    changed["a"]["b"] = None
    assert message.a.b[0].c == 1


def test_a_message_cannot_be_changed() -> None:
    message = Message(TEXT)
    with pytest.raises(AttributeError, match="immutable"):
        message.type = "y"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="immutable"):
        message.a.c = 1
    with pytest.raises(AttributeError, match="immutable"):
        del message.a.b
    with pytest.raises(TypeError):
        message["type"] = "y"


def test_a_missing_field_says_what_there_is() -> None:
    with pytest.raises(
        AttributeError, match=r"no field 'tpye' \(there are: type, n, f, a, items, é\)"
    ):
        _ = Message(TEXT).tpye
    assert not hasattr(Message(TEXT), "_private")


def test_matching() -> None:
    found: list[Any] = []
    for message in (Message('{"type":"a","x":1}'), Message('{"type":"b","x":{"y":2}}')):
        match message:
            case Message("a", x=x):
                found.append(x)
            case {"x": {"y": y}}:
                found.append(y)
    assert found == [1, 2]


def test_equality_copies_and_pickles() -> None:
    message = Message(TEXT)
    assert message == Message(TEXT) == json.loads(TEXT)
    assert message != Message("{}")
    assert message != 1
    for twin in (copy.copy(message), copy.deepcopy(message), pickle.loads(pickle.dumps(message))):  # noqa: S301
        assert (twin, twin.raw_text) == (message, TEXT)
    assert copy.deepcopy(message.a) == message.a
    with pytest.raises(TypeError):
        hash(message)


def test_mappings_unpack() -> None:
    runtime = Message('{"runtime":{"agent_id":"a","conversation_id":"c"}}').runtime
    assert isinstance(runtime, Fields)
    assert issubclass(Fields, Mapping)
    assert {**runtime} == {"agent_id": "a", "conversation_id": "c"}
    assert dict(runtime) == runtime.raw
    assert repr(runtime) == "Fields({'agent_id': 'a', 'conversation_id': 'c'})"
    assert len(repr(Message('{"a":"' + "x" * 1000 + '"}'))) < 300
    assert Message('{"type":7}').type == ""
    assert Fields({"a": 1}).a == 1


@pytest.mark.anyio
async def test_frames_arrive_byte_for_byte(mock: MockServer) -> None:
    texts = [TEXT, '{ "type" : "y",\t"big":123456789012345678901234567890,"e":1E400,"z":-0.0}']
    seen: list[Message] = []
    done = anyio.Event()

    def watch(message: Message, channel: str) -> None:
        assert channel == "control"
        seen.append(message)
        if len(seen) == len(texts):
            done.set()

    async with letta.connect(mock.url) as client:
        # With an answer the server knows the client; without it could miss what is pushed.
        await client.info()
        client.on_message(watch)
        for text in texts:
            mock.push(text)
        await done.wait()
    assert [message.raw_text for message in seen] == texts
    assert seen[0].n == 2**53 + 1
    assert seen[1].big == 123456789012345678901234567890


@pytest.mark.anyio
async def test_a_frame_of_the_engine_is_one_made_of_text(mock: MockServer) -> None:
    frame = {
        "type": "brand_new",
        "umlaut": "\u00fc\U0001f600",
        "nested": {"all": [{"deep": "\u00e9"}]},
    }
    async with letta.connect(mock.url) as client, client.messages("brand_new") as messages:
        await client.info()
        mock.push(frame)
        arrived = await anext(messages)
    made = Message(arrived.raw_text)
    pickled = pickle.loads(pickle.dumps(arrived))  # noqa: S301 - our own
    for one in (arrived, made, copy.copy(arrived), pickled):
        assert type(one.raw_text) is str
        assert one.raw_text is one.raw_text
        assert one._bytes == len(one.raw_text.encode())
        assert (one.umlaut, one.nested["all"][0].deep) == ("\u00fc\U0001f600", "\u00e9")
        nested = one.nested
        assert nested._text is not None
        assert json.loads(nested._text) == nested.raw == frame["nested"]
        assert nested._bytes == len(nested._text.encode())
    assert arrived == made == pickled
    assert Fields({})._bytes == 0


def test_results_from_the_engine() -> None:
    raw = {
        "runtime": {"agent_id": "a", "conversation_id": "c"},
        "status": "completed",
        "text": "hi",
        "runs": [{"run_id": "r", "text": "hi", "withdrawn": False}],
        "tool_calls": [
            {
                "id": "1",
                "name": "t",
                "arguments": "{bad",
                "status": None,
                "output": None,
                "run_id": "r",
            }
        ],
        "usage": {"prompt_tokens": 1, "context_tokens": None},
        "run_ids": ["r"],
        "client_message_ids": [],
        "merged_with": [],
        "terminal_message": '{"type":"turn_finished"}',
        "duration_ms": 1500,
        "a_future_key": 1,
    }
    result = TurnResult.from_raw(raw)
    assert result.duration == 1.5
    assert result.tool_calls[0].input is None
    assert result.terminal_message == Message('{"type":"turn_finished"}')
    assert result.runtime.agent_id == "a"
    plain = result.to_dict()
    assert json.loads(json.dumps(plain))["runs"] == raw["runs"]
    assert TurnResult(runtime=Fields({})).status is None


@pytest.mark.anyio
async def test_no_frame_is_lost_in_a_burst(scripted: Callable[..., MockServer]) -> None:
    mock = scripted()
    seen: list[int] = []
    done = anyio.Event()

    def watch(frame: Message, _: str) -> None:
        seen.append(frame.n)
        if frame.n == 4999:
            done.set()

    async with letta.connect(mock.url) as client:
        # With an answer the server knows the client; without it could miss what is pushed.
        await client.info()
        client.on_message(watch)
        for n in range(5000):
            mock.push({"type": "x", "n": n})
        await done.wait()
        assert seen == list(range(5000))
        assert client.stats.frames == 5001
        assert client.stats.dropped == 0
