from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient, Message
from letta_app_client.testing import MockServer, script
from tests.helpers import message, start

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(mock: MockServer) -> AsyncIterator[AppServerClient]:
    async with letta.connect(mock.url) as client:
        # With an answer the server knows the client; without it could miss what is pushed.
        await client.info()
        yield client


async def test_messages_come_in_order_and_before_completions(client: AppServerClient) -> None:
    home = threading.get_ident()
    seen: list[str] = []

    def watch(frame: Message, channel: str) -> None:
        assert threading.get_ident() == home
        assert channel == "control"
        seen.append(frame.type)

    off = client.on_message(watch)
    runtime = await start(client)
    assert "runtime_start_response" in seen
    await client.run_turn(runtime=runtime, payload=message())
    assert "turn_finished" in seen
    count = len(seen)
    off()
    off()
    await client.sync(runtime=runtime)
    assert len(seen) == count


async def test_sends_are_seen_whole(client: AppServerClient) -> None:
    sent: list[dict[str, Any]] = []
    off = client.on_send(sent.append)
    runtime = await start(client)
    await client.run_turn(runtime=runtime, payload=message())
    assert [command["type"] for command in sent] == ["runtime_start", "input"]
    assert sent[0]["request_id"]
    assert sent[1]["payload"]["messages"][0]["client_message_id"]
    off()
    await client.sync(runtime=runtime)
    assert len(sent) == 2


async def test_a_handler_that_raises_disturbs_nobody(
    client: AppServerClient, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def bad(*_: object) -> None:
        raise LookupError("my own fault")

    client.on_message(bad)
    client.on_send(bad)
    client.on_message(lambda frame, _: seen.append(frame.type))
    with caplog.at_level(logging.ERROR, logger="letta_app_client"):
        runtime = await start(client)
        assert (await client.run_turn(runtime=runtime, payload=message())).status == "completed"
    assert "turn_finished" in seen
    assert client.stats.handler_errors == len(seen) + 2
    assert "my own fault" in caplog.text


async def test_handlers_may_register_and_leave_while_called(
    client: AppServerClient, mock: MockServer
) -> None:
    seen: list[str] = []
    done = anyio.Event()

    def once(frame: Message, _: str) -> None:
        seen.append(f"once {frame.type}")
        off()
        client.on_message(lambda frame, _: seen.append(frame.type))
        client.on_message(lambda *_: done.set())

    off = client.on_message(once)
    mock.push({"type": "a"})
    mock.push({"type": "b"})
    await done.wait()
    assert seen == ["once a", "b"]


async def test_context_variables_are_those_of_the_registration(
    client: AppServerClient, mock: MockServer
) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    seen: list[str] = []
    done = anyio.Event()
    variable.set("registered")
    client.on_message(lambda *_: seen.append(variable.get()))
    client.on_message(lambda *_: done.set())
    variable.set("later")
    mock.push({"type": "a"})
    await done.wait()
    assert seen == ["registered"]


async def test_only_functions_can_be_registered(client: AppServerClient) -> None:
    registers: list[Any] = [client.on_message, client.on_send, client.on_external_tool_call]
    for register in registers:
        with pytest.raises(TypeError, match="expected a function, got str"):
            register("handler")


TOOL = {"name": "lookup", "description": "", "parameters": {"type": "object", "properties": {}}}


async def run_with_tool(mock: MockServer, handler: Any) -> tuple[str | None, str | None, int]:
    """Lets the model call a tool; gives the tool's status and output, and the number of errors."""
    async with letta.connect(mock.url) as client:
        client.on_external_tool_call(handler)
        runtime = await start(client, mode="unrestricted", external_tools=[{"tools": [TOOL]}])
        result = await client.run_turn(runtime=runtime, payload=message())
        (call,) = result.tool_calls
        return call.status, call.output, client.stats.handler_errors


@pytest.fixture
def tool_mock(scripted: Callable[..., MockServer]) -> MockServer:
    return scripted(script.turn("done", tool_calls=[("lookup", {"q": "x"})]))


async def test_a_function_runs_in_a_thread(tool_mock: MockServer) -> None:
    threads: list[int] = []

    def handler(call: Message) -> str:
        threads.append(threading.get_ident())
        return f"{call.tool_name} {call.input.q}"

    assert await run_with_tool(tool_mock, handler) == ("success", "lookup x", 0)
    assert threads != [threading.get_ident()]


async def test_a_coroutine_function_runs_on_the_loop(tool_mock: MockServer) -> None:
    threads: list[int] = []

    async def handler(call: Message) -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        threads.append(threading.get_ident())
        return {"content": [{"type": "text", "text": call.input.q}], "is_error": True}

    assert await run_with_tool(tool_mock, handler) == ("error", "x", 0)
    assert threads == [threading.get_ident()]


async def test_an_exception_becomes_an_answer(
    tool_mock: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(_: Message) -> str:
        raise LookupError("no such row")

    async def async_handler(_: Message) -> str:
        raise LookupError

    status, output, errors = await run_with_tool(tool_mock, handler)
    assert (status, errors) == ("error", 1)
    assert output is not None
    assert output.endswith("no such row")
    assert "Traceback" not in output
    assert "Traceback" in caplog.text
    status, output, errors = await run_with_tool(tool_mock, async_handler)
    assert (status, errors) == ("error", 1)
    assert output is not None
    assert output.endswith("LookupError")


@pytest.mark.parametrize("result", [None, 7, {"content": "text"}, {"content": [float("nan")]}])
async def test_a_bad_result_becomes_an_error(tool_mock: MockServer, result: Any) -> None:
    status, output, _ = await run_with_tool(tool_mock, lambda _: result)
    assert status == "error"
    assert output


async def test_a_second_tool_handler_replaces_the_first(tool_mock: MockServer) -> None:
    async with letta.connect(tool_mock.url) as client:
        first_off = client.on_external_tool_call(lambda _: "first")
        client.on_external_tool_call(lambda _: "second")
        first_off()
        runtime = await start(client, external_tools=[{"tools": [TOOL]}])
        result = await client.run_turn(runtime=runtime, payload=message())
        assert result.tool_calls[0].output == "second"
