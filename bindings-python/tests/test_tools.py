from __future__ import annotations

import asyncio
import builtins
import copy
import functools
import gc
import logging
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

import anyio
import cloudpickle
import pytest
import trio

import letta_app_client as letta
from letta_app_client import Message
from letta_app_client.testing import MockServer, script
from tests.helpers import message, start

pytestmark = pytest.mark.anyio

TOOL = {"name": "lookup", "description": "", "parameters": {"type": "object", "properties": {}}}


async def run_with_tool(
    mock: MockServer, handler: Any, **options: Any
) -> tuple[str | None, str | None, int]:
    """Lets the model call a tool; gives the tool's status and output, and the number of errors."""
    async with letta.connect(mock.url, **options) as client:
        client.on_external_tool_call(handler)
        runtime = await start(client, mode="unrestricted", external_tools=[{"tools": [TOOL]}])
        result = await client.run_turn(runtime=runtime, payload=message())
        (call,) = result.tool_calls
        return call.status, call.output, client.stats.handler_errors


@pytest.fixture
def tool_mock(scripted: Callable[..., MockServer]) -> MockServer:
    return scripted(script.turn("done", tool_calls=[("lookup", {"q": "x"})]))


@letta.tool
def double(number: int) -> int:
    return 2 * number


class Sums:
    @letta.tool
    def of_two(a: int, b: int) -> int:  # noqa: N805 - a tool has no self
        return a + b


@pytest.mark.parametrize("made", [double, Sums.of_two])
def test_a_tool_is_pickled_by_its_name(made: Any) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(made, protocol)) is made  # noqa: S301
    assert copy.deepcopy(made) is made
    (loaded,) = pickle.loads(pickle.dumps(letta.ToolSet([made])))  # noqa: S301
    assert loaded is made


def test_a_tool_that_is_not_found_by_its_name_is_not_pickled_but_by_cloudpickle() -> None:
    @letta.tool
    def local(number: int) -> int:
        return 3 * number

    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(local)
    # It takes functions along that are not found elsewhere, and those around them.
    for made, expected in ((local, 12), (double, 8)):
        loaded = pickle.loads(cloudpickle.dumps(made))  # noqa: S301
        assert loaded(4) == expected
        assert loaded.definition == made.definition


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


class Speechless(Exception):
    def __str__(self) -> str:
        raise LookupError


@pytest.mark.parametrize("error", [Speechless(), ValueError("half a pair: \ud800")])
async def test_an_exception_without_a_text_is_answered(
    tool_mock: MockServer, error: Exception
) -> None:
    def handler(_: Message) -> str:
        raise error

    async def async_handler(_: Message) -> str:
        raise error

    @letta.tool
    def lookup(q: str) -> str:
        raise error

    @letta.tool(name="lookup")
    async def async_lookup(q: str) -> str:
        raise error

    tools: tuple[Any, ...] = (letta.ToolSet([lookup]), letta.ToolSet([async_lookup]))
    for function in (handler, async_handler, *tools):
        with anyio.fail_after(10):
            status, output, _ = await run_with_tool(tool_mock, function)
        assert (status, bool(output)) == ("error", True)


@pytest.mark.parametrize("result", [None, 7, {"content": "text"}, {"content": [float("nan")]}])
async def test_a_bad_result_becomes_an_error(tool_mock: MockServer, result: Any) -> None:
    status, output, errors = await run_with_tool(tool_mock, lambda _: result)
    assert (status, errors) == ("error", 1)
    assert output
    if isinstance(result, dict):
        assert "content" in output


async def test_a_result_that_is_too_large_is_counted_and_logged(
    tool_mock: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="letta_app_client"):
        status, output, errors = await run_with_tool(
            tool_mock, lambda _: "x" * 5000, max_message_bytes=4096
        )
    assert (status, errors) == ("error", 1)
    words = "the tool's result is too large"
    assert words in str(output)
    assert f'the external tool "lookup" failed: {words}' in caplog.text


async def test_a_second_tool_handler_replaces_the_first(tool_mock: MockServer) -> None:
    async with letta.connect(tool_mock.url) as client:
        first_off = client.on_external_tool_call(lambda _: "first")
        client.on_external_tool_call(lambda _: "second")
        first_off()
        runtime = await start(client, mode="unrestricted", external_tools=[{"tools": [TOOL]}])
        result = await client.run_turn(runtime=runtime, payload=message())
        assert result.tool_calls[0].output == "second"


async def echo(call: Message) -> str:
    await anyio.lowlevel.checkpoint()
    return f"{call.input.q} {threading.get_ident()}"


class Echo:
    async def __call__(self, call: Message) -> str:
        return await echo(call)

    async def method(self, call: Message) -> str:
        return await echo(call)


class Later:
    """Something to await that is no coroutine."""

    def __await__(self) -> Any:
        return echo(Message('{"input":{"q":"x"}}')).__await__()


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(lambda call: echo(call), id="lambda"),  # noqa: PLW0108 - that is the point
        pytest.param(lambda _: Later(), id="awaitable"),
        pytest.param(Echo(), id="object"),
        pytest.param(Echo().method, id="method"),
        pytest.param(functools.partial(echo), id="partial"),
        pytest.param(functools.partial(Echo()), id="partial_object"),
    ],
)
async def test_whatever_can_be_awaited_is_awaited_on_the_loop(
    tool_mock: MockServer, handler: Any
) -> None:
    with anyio.fail_after(10):
        outcome = await run_with_tool(tool_mock, handler)
    assert outcome == ("success", f"x {threading.get_ident()}", 0)


def exits(_: Message) -> str:
    sys.exit(3)


async def exits_on_the_loop(call: Message) -> str:
    return exits(call)


def interrupts(_: Message) -> str:
    raise KeyboardInterrupt


@pytest.mark.parametrize("handler", [exits, exits_on_the_loop, interrupts])
async def test_a_tool_that_exits_is_answered_for(
    tool_mock: MockServer, handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with anyio.fail_after(10), caplog.at_level(logging.ERROR):
        status, output, errors = await run_with_tool(tool_mock, handler)
    assert (status, errors) == ("error", 1)
    assert output is not None
    assert "the tool exited" in output


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_tool_that_is_cancelled_is_answered_for(tool_mock: MockServer) -> None:
    async def handler(_: Message) -> str:
        task = asyncio.ensure_future(asyncio.Event().wait())
        task.cancel()
        await task
        return "never"

    with anyio.fail_after(10):
        status, output, errors = await run_with_tool(tool_mock, handler)
    assert (status, errors) == ("error", 0)
    assert output is not None
    assert "the tool was cancelled" in output


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
async def test_nothing_that_a_tool_raises_ends_the_run_of_trio(
    tool_mock: MockServer, kind: type[BaseException]
) -> None:
    async def handler(_: Message) -> str:
        raise kind

    with anyio.fail_after(10):
        status, output, _ = await run_with_tool(tool_mock, handler)
    assert status == "error"
    assert output


GROUP = getattr(builtins, "BaseExceptionGroup", None)
needs_groups = pytest.mark.skipif(GROUP is None, reason="Python has groups of its own from 3.11 on")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("error", [GeneratorExit, asyncio.CancelledError, ValueError])
@needs_groups
async def test_what_a_tool_raises_is_answered_for_and_leaves_no_task_behind(
    tool_mock: MockServer, error: type[BaseException]
) -> None:
    left: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context))

    async def handler(_: Message) -> str:
        assert GROUP is not None
        raise GROUP("several", [error(), asyncio.CancelledError()])

    with anyio.fail_after(10):
        status, output, errors = await run_with_tool(tool_mock, handler)
    assert status == "error"
    is_cancelled = error is asyncio.CancelledError
    assert errors == (0 if is_cancelled else 1)
    assert output is not None
    assert ("the tool was cancelled" in output) is is_cancelled
    gc.collect()
    assert left == []


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_aborts_of_nurseries_are_no_failures(
    scripted: Callable[..., MockServer], caplog: pytest.LogCaptureFixture
) -> None:
    asking = script.call("Bash", {"command": "x"}, needs_approval=True)
    mock = scripted(
        script.turn(tool_calls=[script.call("work", needs_approval=False)]),
        script.turn(tool_calls=[asking]),
    )
    called, over = anyio.Event(), anyio.Event()

    async def in_a_nursery() -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                nursery.start_soon(trio.sleep_forever)
                called.set()
        finally:
            over.set()

    async def work() -> str:
        await in_a_nursery()
        return "never"

    async def decide(_: letta.ApprovalRequest) -> letta.Decision:
        await in_a_nursery()
        return letta.allow()

    async with letta.connect(mock.url, settle_pause=0) as client:
        session = await client.session(agent_id="a", tools=[work], approvals=decide)
        for _ in range(2):
            called, over = anyio.Event(), anyio.Event()
            with anyio.fail_after(10):
                turn = session.send("?")
                await called.wait()
                assert (await turn.abort()).status == "aborted"
                await over.wait()
            await anyio.wait_all_tasks_blocked()
        assert client.stats.handler_errors == 0
    assert "failed" not in caplog.text


async def test_an_abort_cancels_the_tool(tool_mock: MockServer) -> None:
    called, cancelled = anyio.Event(), anyio.Event()

    async def handler(_: Message) -> str:
        called.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()
        return "never"

    async with letta.connect(tool_mock.url) as client:
        client.on_external_tool_call(handler)
        runtime = await start(client, mode="unrestricted", external_tools=[{"tools": [TOOL]}])
        with anyio.fail_after(10):
            async with client.send_turn(runtime=runtime, payload=message()) as turn:
                await called.wait()
            await cancelled.wait()
        # The server waits for the answer, so the client gives one for the tool.
        result = await turn
        assert (result.status, result.completed_by) == ("aborted", "turn_finished")
        assert client.stats.handler_errors == 0
    kinds = [frame for frame in tool_mock.received if frame.type == "external_tool_call_response"]
    assert [frame.error for frame in kinds] == ["the turn was aborted"]


async def test_a_tool_has_a_time_limit(tool_mock: MockServer) -> None:
    cancelled = anyio.Event()

    async def handler(_: Message) -> str:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()
        return "never"

    async with letta.connect(tool_mock.url, external_tool_timeout=0.05) as client:
        client.on_external_tool_call(handler)
        runtime = await start(client, mode="unrestricted", external_tools=[{"tools": [TOOL]}])
        with anyio.fail_after(10):
            result = await client.run_turn(runtime=runtime, payload=message())
            await cancelled.wait()
    (call,) = result.tool_calls
    assert (call.status, result.text) == ("error", "done")
    assert "did not answer within 0.05 s" in (call.output or "")


async def test_the_end_of_the_connection_cancels_the_tool(tool_mock: MockServer) -> None:
    cancelled = anyio.Event()

    async def handler(_: Message) -> str:
        tool_mock.cut_connections()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()
        return "never"

    async with letta.connect(tool_mock.url) as client:
        client.on_external_tool_call(handler)
        runtime = await start(client, mode="unrestricted", external_tools=[{"tools": [TOOL]}])
        with anyio.fail_after(10):
            with pytest.raises(letta.TurnInterrupted):
                await client.run_turn(runtime=runtime, payload=message())
            await cancelled.wait()


async def test_only_so_many_tools_run_at_once(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("done", tool_calls=[("lookup", {})]))
    running, most, go_on = 0, 0, anyio.Event()

    async def handler(_: Message) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 2:
            go_on.set()
        await go_on.wait()
        # Others that were let in by mistake would be here before this one has ended.
        await anyio.lowlevel.checkpoint()
        running -= 1
        return "x"

    async with letta.connect(mock.url, external_tool_concurrency=2) as client:
        client.on_external_tool_call(handler)
        results: list[letta.TurnResult] = []

        async def run() -> None:
            runtime = await start(client, mode="unrestricted", external_tools=[{"tools": [TOOL]}])
            results.append(await client.run_turn(runtime=runtime, payload=message()))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for _ in range(6):
                    group.start_soon(run)
    assert [result.text for result in results] == ["done"] * 6
    assert most == 2


async def test_limits_of_tools_are_checked() -> None:
    for options in (
        {"external_tool_concurrency": 0},
        {"external_tool_concurrency": 1.5},
        {"external_tool_concurrency": True},
        {"external_tool_timeout": 0},
        {"external_tool_timeout": "1"},
    ):
        with pytest.raises(letta.InvalidOption, match=f"^{next(iter(options))}"):
            letta.create_app_server_client(url="ws://127.0.0.1:1", **options)
