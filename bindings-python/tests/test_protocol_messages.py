"""Every recorded message as an object of its class: nothing is lost, nothing is changed."""

from __future__ import annotations

import copy
import json
import pickle
from collections import Counter
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import Fields, Message, protocol
from letta_app_client._decode import decode, decode_as
from letta_app_client.protocol import DELTAS, MESSAGES
from letta_app_client.testing import MockServer
from tests.protocol import CATALOG, frames, plain


def text_of(frame: dict[str, Any]) -> str:
    """A wire text that ``json.dumps`` alone would not write."""
    return json.dumps(frame, ensure_ascii=False).replace("{", "{ ", 1)


def kept(frame: dict[str, Any]) -> Message:
    """Demands that a frame survives being an object, and gives that."""
    text = text_of(frame)
    message = decode(text)
    assert message.raw_text == text
    assert message.to_dict() == frame
    assert plain(message) == frame
    for name, value in frame.items():
        if name.isidentifier() and name not in ("raw", "raw_text"):
            assert plain(getattr(message, name)) == value
    return message


def few() -> Iterator[dict[str, Any]]:
    """A few recorded messages of each type and generation."""
    counts: Counter[tuple[str, str]] = Counter()
    for path, frame in frames("recv"):
        key = (path.parent.name, frame["type"])
        counts[key] += 1
        if counts[key] <= 5:
            yield frame


def test_every_recorded_message_is_of_its_class() -> None:
    kinds: set[str] = set()
    deltas: set[str] = set()
    for _, frame in frames("recv"):
        message = kept(frame)
        kinds.add(message.type)
        assert type(message) is MESSAGES[frame["type"]]
        assert type(decode_as(frame["type"], text_of(frame))) is MESSAGES[frame["type"]]
        if isinstance(message, protocol.StreamDeltaMessage):
            tag = frame["delta"]["message_type"]
            assert type(message.delta) is DELTAS[tag]
            deltas.add(tag)
        # The catalog says of some events only that they may have an envelope.
        if "runtime" in type(message).__annotations__ and frame.get("runtime") is not None:
            assert type(message.runtime) is protocol.RuntimeScope
    assert len(kinds) > 60
    assert len(deltas) > 12


def test_processes_in_the_background_are_of_a_class() -> None:
    kinds: set[str] = set()
    for _, frame in frames("recv"):
        message = decode(text_of(frame))
        if isinstance(message, protocol.DeviceStatusUpdateMessage):
            for process in message.device_status.background_processes:
                assert type(process) is protocol.BackgroundProcessSummary
                assert (process.status, type(process.started_at_ms)) == ("running", int)
                kinds.add(process.kind)
    assert kinds == {"agent_task", "bash"}


def test_every_type_of_the_catalog_has_a_class() -> None:
    sent = {one["type"]: one for one in CATALOG["messages"] if one["kind"] != "command"}
    assert set(MESSAGES) == set(sent)
    assert set(DELTAS) == set(CATALOG["stream_delta_message_types"])
    for kind, cls in MESSAGES.items():
        frame = json.dumps({"type": kind})
        for name, field in sent[kind]["fields"].items():
            if not field["required"] and "observed_only" not in field:
                assert getattr(cls(frame), name) is None, (kind, name)


def test_what_is_unknown_survives() -> None:
    for frame in few():
        frame["a_new_field"] = {"deep": [1, None, {"x": 2**60}]}
        for value in list(frame.values()):
            if isinstance(value, dict):
                value["another"] = "kept"
        message = kept(frame)
        assert message.a_new_field.deep[2].x == 2**60
        frame["type"] = "something_new"
        assert type(kept(frame)) is Message
        assert type(decode_as(None, text_of(frame))) is Message


def test_a_field_of_another_type_comes_as_it_is() -> None:
    spoilt: set[tuple[str, str]] = set()
    for frame in few():
        for name in frame:
            if name == "type" or (frame["type"], name) in spoilt:
                continue
            spoilt.add((frame["type"], name))
            for wrong in ([{"of": "another type"}], {"of": [{"yet": 1}]}, 7, None, "text"):
                message = kept({**frame, name: wrong})
                assert plain(message[name]) == wrong
    assert len(spoilt) > 300
    delta = kept({"type": "stream_delta", "delta": {"message_type": ["no text"]}}).delta
    assert type(delta) is Fields
    unknown = kept({"type": "stream_delta", "delta": {"message_type": "new_kind", "x": 1}}).delta
    assert (type(unknown), unknown.x) == (Fields, 1)


def test_optional_fields_are_none_and_the_rest_is_missed() -> None:
    message = decode('{"type":"turn_finished","turn_id":"t"}')
    assert isinstance(message, protocol.TurnFinishedMessage)
    assert message.error is None
    assert "error" not in message
    assert message.get("error", "none") == "none"
    with pytest.raises(AttributeError, match="no field 'stop_reason'"):
        _ = message.stop_reason
    with pytest.raises(AttributeError, match="immutable"):
        message.turn_id = "u"


def test_copies_keep_their_class() -> None:
    message = decode('{"type":"sync_response","runtime":{"agent_id":"a","conversation_id":"c"}}')
    assert isinstance(message, protocol.SyncResponseMessage)
    for one in (message, message.runtime):
        for twin in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):  # noqa: S301
            assert type(twin) is type(one)
            assert twin == one
    assert repr(message.runtime) == "RuntimeScope({'agent_id': 'a', 'conversation_id': 'c'})"


def test_matching_by_class_and_by_the_field_that_counts() -> None:
    found: list[Any] = []
    frame = {"type": "stream_delta", "delta": {"message_type": "assistant_message", "content": "x"}}
    for message in (decode(text_of(frame)), decode('{"type":"file_changed","path":"/a"}')):
        match message:
            case protocol.StreamDeltaMessage(protocol.AssistantMessageDelta(content)):
                found.append(content)
            case protocol.FileChangedMessage(path="/a"):
                found.append("changed")
    assert found == ["x", "changed"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_handlers_get_objects_of_their_classes(mock: MockServer) -> None:
    texts = [json.dumps({"type": kind}) for kind in MESSAGES] + ['{"type":"last_and_new"}']
    seen: list[Message] = []
    done = anyio.Event()

    def watch(message: Message, _: str) -> None:
        seen.append(message)
        if len(seen) == len(texts):
            done.set()

    async with letta.connect(mock.url) as client:
        await client.info()
        client.on_message(watch)
        for text in texts:
            mock.push(text)
        await done.wait()
    assert [message.raw_text for message in seen] == texts
    assert [type(message) for message in seen] == [*MESSAGES.values(), Message]


def test_the_commands_are_made_when_they_are_looked_at() -> None:
    assert set(protocol.__all__) <= set(dir(protocol))
    for name in protocol.__all__:
        assert getattr(protocol, name) is not None
    assert protocol.ListModelsCommand.__required_keys__ == {"type"}
    assert protocol.RuntimeScopeDict.__optional_keys__ == {"acting_user_id"}
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = protocol.no_such_name  # type: ignore[attr-defined]
