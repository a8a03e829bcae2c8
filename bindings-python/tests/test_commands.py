from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import MappingProxyType
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient, Fields, Message
from letta_app_client.testing import MockServer
from tests.helpers import RUNTIME, message, start

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(mock: MockServer) -> AsyncIterator[AppServerClient]:
    async with letta.connect(mock.url) as client:
        yield client


def kinds(mock: MockServer) -> list[str]:
    return [frame.type for frame in mock.received]


async def test_every_method_sends_its_command(client: AppServerClient, mock: MockServer) -> None:
    started = await client.runtime_start(
        agent_id="agent-1",
        create_conversation={"body": {}},
        mode="standard",
        client_info={"name": "tests", "version": "0"},
    )
    assert started.success
    assert started.runtime.agent_id == "agent-1"
    runtime = started.runtime
    assert (await client.sync(runtime=runtime, force_device_status=True)).type == "sync_response"
    assert (await client.abort(runtime=runtime)).aborted is False
    assert (await client.info()).capabilities.runtime_start is True
    listed = await client.conversation_list(query={"agent_id": "agent-1"})
    assert [it["id"] for it in listed.conversations] == [runtime.conversation_id]
    update: Any = {"runtimes": [runtime], "external_tools": []}
    answer = await client.runtime_external_tools_update(updates=[update])
    assert answer.success
    accepted = await client.submit_input(runtime=runtime, payload=message(), request_id="mine")
    assert (accepted.type, accepted.request_id) == ("input_accepted", "mine")
    assert kinds(mock) == [
        "runtime_start",
        "sync",
        "abort_message",
        "app_server_info",
        "conversation_list",
        "runtime_external_tools_update",
        "input",
    ]
    assert mock.received[0].client_info.to_dict() == {"name": "tests", "version": "0"}
    assert mock.unexpected == []


async def test_input_waits_for_nothing(client: AppServerClient, mock: MockServer) -> None:
    runtime = await start(client)
    finished = anyio.Event()
    client.on_message(lambda frame, _: finished.set() if frame.type == "turn_finished" else None)
    client.input(runtime=runtime, payload=message("fire"))
    await finished.wait()
    assert "request_id" not in mock.received[-1]
    assert mock.received[-1].payload.messages[0].content == "fire"


async def test_request_takes_a_type_or_a_command(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(answers={"list_models": {"entries": [{"handle": "a/b"}]}})
    async with letta.connect(mock.url) as client:
        first = await client.request("list_models", force=True)
        second = await client.request({"type": "list_models", "request_id": "mine"})
        third = await client.request(MappingProxyType({"type": "list_models"}), force=False)
        answers = (first, second, third)
        assert [answer.entries[0].handle for answer in answers] == ["a/b"] * 3
        assert second.request_id == "mine"
        assert [frame.get("force") for frame in mock.received] == [True, None, False]


async def test_unknown_commands_go_through_raw(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(answers={"some_future_command": {"x": 1}})
    async with letta.connect(mock.url) as client:
        client.send_raw({"type": "another_one", "ä": "ö"})
        answer = await client.request_raw(
            {"type": "some_future_command", "request_id": "r"},
            predicate=lambda frame: frame.get("x") == 1,
        )
        assert answer.request_id == "r"
        assert mock.unexpected == ['{"type":"another_one","ä":"ö"}']


async def push_once_received(mock: MockServer, *kinds: str) -> None:
    await anyio.to_thread.run_sync(mock.wait_received, "future")
    for kind in kinds:
        mock.push({"type": kind, "request_id": "r"})


async def test_a_predicate_picks_the_answer(client: AppServerClient, mock: MockServer) -> None:
    seen: list[str] = []

    def judge(frame: Message) -> bool:
        seen.append(frame.type)
        return frame.type == "second"

    async with anyio.create_task_group() as group:
        group.start_soon(push_once_received, mock, "a", "second")
        command = {"type": "future", "request_id": "r"}
        answer = await client.request_raw(command, predicate=judge)
    assert answer.type == "second"
    assert seen == ["a", "second"]


async def test_a_predicate_that_raises_ends_the_request(
    client: AppServerClient, mock: MockServer
) -> None:
    def judge(_: Message) -> bool:
        raise LookupError("mine")

    async with anyio.create_task_group() as group:
        group.start_soon(push_once_received, mock, "a")
        command = {"type": "future", "request_id": "r"}
        with pytest.raises(LookupError, match="mine"):
            await client.request_raw(command, predicate=judge)


async def test_a_refusal_raises_with_the_response(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(answers={"agent_retrieve": {"success": False, "error": "Agent not found"}})
    async with letta.connect(mock.url) as client:
        with pytest.raises(letta.RequestError, match="Agent not found") as caught:
            await client.request("agent_retrieve", agent_id="nobody")
        assert str(caught.value) == "`agent_retrieve` was refused: Agent not found"
        assert caught.value.response is not None
        assert caught.value.response.type == "agent_retrieve_response"
        assert caught.value.response.success is False
        answer = await client.request("agent_retrieve", agent_id="nobody", predicate=lambda _: True)
        assert answer.success is False


async def test_a_silent_server_is_a_timeout(client: AppServerClient) -> None:
    with pytest.raises(letta.RequestTimeout, match=r"within 0\.05 s") as caught:
        await client.request("list_models", timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.retryable


BAD_COMMANDS: list[tuple[Any, str]] = [
    ([1], "expected a mapping, got list"),
    ("text", "expected a mapping, got str"),
    (None, "expected a mapping, got NoneType"),
    ({}, "field `type`"),
    ({"type": 7}, "field `type`"),
    ({"type": "x", "a": {"b": [1, float("nan")]}}, r"field `a.b\[1\]`: .* finite number, got nan"),
    ({"type": "x", "a": [{"b": object()}]}, r"field `a\[0\].b`: .*, got object"),
    ({"type": "x", "a": {1, 2}}, "field `a`: .*, got set"),
    ({"type": "x", "a": {(1,): 2}}, "field `a`: expected text as key"),
    ({"type": "x", "a": [{"b": {1: 2}}]}, r"field `a\[0\].b`: expected text as key, got 1"),
    ({"type": "x", None: 2}, "expected text as key, got None"),
    ({"type": "x", "a": MappingProxyType({True: 2})}, "field `a`: expected text as key"),
    ({"type": "x\ud800"}, "field `type`: .* surrogate"),
    ({"type": "x", "runtime": {"agent_id": "\ud800"}}, "field `runtime.agent_id`: .* surrogate"),
    ({"type": "x", "a": {"\ud800": 1}}, "field `a`: the key .* surrogate"),
]


@pytest.mark.parametrize(("command", "words"), BAD_COMMANDS)
async def test_what_is_no_command_is_not_sent(
    client: AppServerClient, mock: MockServer, command: Any, words: str
) -> None:
    for call in (client.send, client.send_raw):
        with pytest.raises(letta.InvalidCommand, match=words):
            call(command)
    with pytest.raises(letta.InvalidCommand, match=words):
        await client.request_raw(command, predicate=lambda _: True)
    assert mock.received == []


def test_a_command_that_contains_itself_is_refused(mock: MockServer) -> None:
    client = letta.create_app_server_client(url=mock.url)
    command: dict[str, Any] = {"type": "x"}
    command["self"] = command
    with pytest.raises(letta.InvalidCommand):
        client.send_raw(command)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({"type": "read_file"}, "`read_file`: .*`path`"),
        ({"type": "read_file", "path": 5}, "`path`.*string"),
        ({"type": "runtime_start"}, "agent_id.*create_agent|create_agent.*agent_id"),
        (
            {"type": "runtime_start", "agent_id": "a", "create_agent": {"body": {}}},
            "agent_id.*create_agent|create_agent.*agent_id",
        ),
        ({"type": "runtime_start", "agent_id": "a", "mode": "brave"}, "mode"),
        ({"type": "sync", "runtime": {"agent_id": "", "conversation_id": "c"}}, "runtime.agent_id"),
        ({"type": "sync"}, "runtime"),
        ({"type": "input", "runtime": RUNTIME}, "payload"),
        ({"type": "input", "runtime": RUNTIME, "payload": {"kind": "x"}}, "payload.kind"),
    ],
)
async def test_the_catalog_is_kept(
    client: AppServerClient, mock: MockServer, command: dict[str, Any], words: str
) -> None:
    with pytest.raises(letta.InvalidCommand, match=words):
        client.send({**command, "request_id": "r"})
    with pytest.raises(letta.InvalidCommand, match=words):
        await client.request(command)
    assert mock.received == []


async def test_bad_turns_are_refused(client: AppServerClient, mock: MockServer) -> None:
    bad: list[tuple[Any, str]] = [
        ({"kind": "create_message", "messages": []}, "payload.messages"),
        ({"kind": "create_message", "messages": [{"content": "a"}]}, r"messages\[0\].role"),
        ({"kind": "approval_response", "request_id": "r", "error": "no"}, "payload.kind"),
    ]
    for payload, words in bad:
        with pytest.raises(letta.InvalidCommand, match=words):
            await client.run_turn(runtime=RUNTIME, payload=payload)
    with pytest.raises(letta.InvalidCommand, match="no response"):
        await client.request("terminal_kill", terminal_id="t")  # type: ignore[call-overload]
    assert mock.received == []


async def test_large_messages_are_not_sent(mock: MockServer) -> None:
    async with letta.connect(mock.url, max_message_bytes=10_000) as client:
        large = {"type": "x", "text": "a" * 10_000}
        with pytest.raises(letta.MessageTooLarge, match="10000"):
            client.send_raw(large)
        with pytest.raises(letta.MessageTooLarge, match="`input`"):
            await client.run_turn(runtime=RUNTIME, payload=message("a" * 10_000))
        assert mock.received == []
        await start(client)


async def test_messages_are_accepted_as_commands(client: AppServerClient, mock: MockServer) -> None:
    runtime = await start(client)
    payload = Fields(
        {"kind": "create_message", "messages": [Fields({"role": "user", "content": ""})]}
    )
    result = await client.run_turn(runtime=runtime, payload=payload)
    assert result.text == "Hello world"
    client.send_raw(Message('{"type":"echo","n":9007199254740993}'))
    await client.sync(runtime=result.runtime)
    assert mock.unexpected == ['{"type":"echo","n":9007199254740993}']


async def test_ids_are_unique(client: AppServerClient) -> None:
    ids = {client.next_request_id("mine") for _ in range(100)} | {client.next_request_id()}
    assert len(ids) == 101
    assert any(one.startswith("mine") for one in ids)
