"""Every command of the catalog through its method, and the recorded ones once more."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient, protocol
from letta_app_client.protocol import MESSAGES
from letta_app_client.testing import MockServer
from tests.protocol import COMMANDS, ON_PURPOSE, Stub, frames, method, samples

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

PUSHED = {
    "terminal_spawn": {"type": "terminal_spawned", "terminal_id": "text", "pid": 7},
    "teleport_request": {"type": "teleport_ready", "teleport_id": "text", "active_turn": False},
}
"""Answers that are not recognised by an id of the request, so the server double has none."""


@pytest.fixture(scope="module")
def answering() -> Iterator[MockServer]:
    """A server that answers every command which has a response."""
    answers: dict[str, dict[str, Any]]
    answers = {kind: {} for kind, one in COMMANDS.items() if one.get("response_type")}
    with MockServer(answers=answers) as server:
        yield server


@pytest.fixture
async def client(answering: MockServer) -> AsyncIterator[AppServerClient]:
    async with letta.connect(answering.url) as client:
        yield client


@pytest.mark.parametrize("kind", sorted(COMMANDS))
async def test_every_command_has_a_method(
    client: AppServerClient, answering: MockServer, kind: str
) -> None:
    command, fields = COMMANDS[kind], samples(kind)
    before = len(answering.received)
    assert set(fields) | {"request_id"} >= {
        name for name, field in command["fields"].items() if field["required"]
    }
    wanted = "any" if command["request_id"] != "none" else None
    if kind == "external_tool_call_response":
        fields["request_id"] = wanted = "mine"
    sent = await call(client, answering, kind, fields)
    assert inspect.iscoroutinefunction(method(client, kind)) == bool(command["response_type"])
    if command["response_type"]:
        assert type(sent) is MESSAGES[command["response_type"]]
        assert sent.type == command["response_type"]
    else:
        assert sent is None
        await anyio.to_thread.run_sync(answering.wait_received, kind)
    (frame,) = (one.to_dict() for one in answering.received[before:])
    if wanted == "any":
        assert isinstance(frame.pop("request_id"), str)
    assert frame == {"type": kind, **fields}


async def call(
    client: AppServerClient, server: MockServer, kind: str, fields: dict[str, Any]
) -> Any:
    """Calls the method of a command and waits for its answer."""
    outcome = method(client, kind)(**fields)
    if not inspect.isawaitable(outcome):
        return outcome
    if kind not in PUSHED:
        return await outcome
    async with anyio.create_task_group() as group:
        group.start_soon(push_answer, server, kind)
        return await outcome


async def done(outcome: Any) -> Any:
    """What a method returns, whether it waits or not."""
    return await outcome if inspect.isawaitable(outcome) else outcome


async def push_answer(server: MockServer, kind: str) -> None:
    await anyio.to_thread.run_sync(server.wait_received, kind)
    server.push(PUSHED[kind])


@pytest.mark.parametrize("kind", sorted(COMMANDS))
async def test_a_missing_or_wrong_field_is_named(
    client: AppServerClient, answering: MockServer, kind: str
) -> None:
    fields = samples(kind)
    if kind == "external_tool_call_response":
        fields["request_id"] = "mine"
    before = len(answering.received)
    for name, field in COMMANDS[kind]["fields"].items():
        if name == "request_id":
            continue
        if field["required"]:
            command = {"type": kind, **fields}
            del command[name]
            with pytest.raises(letta.InvalidCommand, match=f"field `{name}`"):
                client.send(command)
            # Without it the method cannot even be called.
            with pytest.raises(TypeError, match=name):
                method(client, kind)(**{key: fields[key] for key in fields if key != name})
        if name in fields and fields[name] != "anything":
            with pytest.raises(letta.InvalidCommand, match=f"field `{name}"):
                await done(method(client, kind)(**{**fields, name: [[["another type"]]]}))
    assert len(answering.received) == before


async def test_recorded_commands_are_reproduced() -> None:
    stub = Stub()
    seen: set[str] = set()
    for path, frame in frames("send"):
        kind = str(frame.get("type"))
        if kind not in COMMANDS or any(name in path.name for name in ON_PURPOSE):
            continue
        fields = {name: value for name, value in frame.items() if name != "type"}
        await done(method(stub, kind)(**fields))
        assert stub.sent.pop() == frame, path
        seen.add(kind)
    assert len(seen) > 55, seen


async def test_attribute_objects_are_taken_as_bodies() -> None:
    stub = Stub()
    runtime = protocol.RuntimeScope({"agent_id": "a", "conversation_id": "c"})
    await stub.models.update(runtime=runtime, payload={"model_id": "m"})
    await stub.runtimes.update_external_tools(
        updates=[{"runtimes": [runtime], "external_tools": []}]
    )
    first, second = stub.sent
    assert first["runtime"] == second["updates"][0]["runtimes"][0] == runtime.raw


async def test_none_is_null_and_what_is_not_given_is_not_sent(client: AppServerClient) -> None:
    stub = Stub()
    await stub.runtimes.abort(runtime={"agent_id": "a", "conversation_id": "c"}, run_id=None)
    assert stub.sent.pop()["run_id"] is None
    await stub.models.list()
    assert stub.sent == [{"type": "list_models"}]
    nothing: Any = None
    with pytest.raises(letta.InvalidCommand, match="field `force`"):
        await client.models.list(force=nothing)


async def test_families_are_there_once(client: AppServerClient) -> None:
    groups = {command["group"] for command in COMMANDS.values()}
    assert len(groups) == 16
    for group in groups:
        family = getattr(client, group)
        assert family is getattr(client, group)
        assert repr(family) == f"<{type(family).__name__}>"


async def test_requests_give_typed_responses(client: AppServerClient) -> None:
    assert type(await client.request("list_models", force=True)) is MESSAGES["list_models_response"]
    whole = await client.request({"type": "get_experiments"})
    assert type(whole) is MESSAGES["get_experiments_response"]
