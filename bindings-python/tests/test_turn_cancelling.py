"""Whoever leaves a turn early stops it on the server."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient, AssistantDelta, Turn
from letta_app_client.testing import MockServer, script
from tests.helpers import message, start, text_seen

pytestmark = pytest.mark.anyio


@pytest.fixture
def hanging(scripted: Callable[..., MockServer]) -> MockServer:
    return scripted(script.turn("partial", hang=True), script.turn("next"))


@pytest.fixture
async def client(hanging: MockServer) -> AsyncIterator[AppServerClient]:
    async with letta.connect(hanging.url, settle_pause=0) as client:
        yield client


async def send(client: AppServerClient) -> tuple[Turn, anyio.Event]:
    seen = text_seen(client)
    return client.send_turn(runtime=await start(client), payload=message()), seen


async def aborted(mock: MockServer, turn: Turn) -> None:
    """Demands that the turn was stopped on the server, once."""
    with anyio.fail_after(10):
        result = await turn
    assert (result.status, result.text, result.stop_reason) == ("aborted", "partial", "cancelled")
    assert turn.status == "aborted"
    mock.assert_received("abort_message", times=1)


async def wait(turn: Turn) -> None:
    await turn


async def iterate(turn: Turn) -> None:
    async for _ in turn:
        pass


async def iterate_text(turn: Turn) -> None:
    async for _ in turn.stream_text():
        pass


async def work_meanwhile(turn: Turn) -> None:
    async for event in turn:
        if isinstance(event, AssistantDelta):
            await anyio.sleep_forever()


@pytest.mark.parametrize("use", [wait, iterate, iterate_text, work_meanwhile])
async def test_cancelling(hanging: MockServer, client: AppServerClient, use: Any) -> None:
    turn, seen = await send(client)
    async with anyio.create_task_group() as group:
        group.start_soon(use, turn)
        await seen.wait()
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    await aborted(hanging, turn)


async def test_a_time_limit_of_the_loop(hanging: MockServer, client: AppServerClient) -> None:
    turn, seen = await send(client)
    await seen.wait()
    with anyio.move_on_after(0.01) as scope:
        await turn
    assert scope.cancelled_caught
    await aborted(hanging, turn)
    # The conversation is free again.
    result = await client.run_turn(runtime=(await turn).runtime, payload=message())
    assert result.text == "next"


async def test_closing_the_client_ends_it(hanging: MockServer, client: AppServerClient) -> None:
    turn, seen = await send(client)
    async with anyio.create_task_group() as group:

        async def close() -> None:
            await seen.wait()
            await client.close()

        group.start_soon(close)
        with pytest.raises((letta.ClientClosed, letta.TurnInterrupted)):
            await turn
    with pytest.raises((letta.ClientClosed, letta.TurnInterrupted)):
        await iterate(turn)
    assert client._bridge._pending == {}


async def test_cancelling_one_who_awaits_stops_it_for_all(
    hanging: MockServer, client: AppServerClient
) -> None:
    turn, seen = await send(client)
    results: list[letta.TurnResult] = []

    async def other() -> None:
        results.append(await turn)

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        async with anyio.create_task_group() as inner:
            inner.start_soon(wait, turn)
            await seen.wait()
            inner.cancel_scope.cancel()
    assert [result.status for result in results] == ["aborted"]
    await aborted(hanging, turn)


async def test_break(hanging: MockServer, client: AppServerClient) -> None:
    turn, _ = await send(client)
    async for event in turn:
        if isinstance(event, AssistantDelta):
            break
    await aborted(hanging, turn)
    assert [event.type async for event in turn][-1] == "finished"


async def test_break_out_of_the_text(hanging: MockServer, client: AppServerClient) -> None:
    turn, _ = await send(client)
    async for _ in turn.stream_text():
        break
    await aborted(hanging, turn)


async def test_an_exception_in_the_loop(hanging: MockServer, client: AppServerClient) -> None:
    turn, _ = await send(client)

    async def loop() -> None:
        async for event in turn:
            if isinstance(event, AssistantDelta):
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await loop()
    await aborted(hanging, turn)


async def test_an_interrupt_beside_an_event(
    hanging: MockServer, client: AppServerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, _ = await send(client)
    stream = aiter(turn)
    while not isinstance(await anext(stream), AssistantDelta):
        pass

    def interrupted() -> None:
        raise KeyboardInterrupt

    # Where trio raises it when the signal comes while an event is taken.
    monkeypatch.setattr(stream, "_now", interrupted)
    # Its traceback keeps the stream from being let go of.
    with pytest.raises(KeyboardInterrupt) as caught:
        await anext(stream)
    await aborted(hanging, turn)
    assert caught.tb is not None


async def test_closing_the_iterator(hanging: MockServer, client: AppServerClient) -> None:
    turn, _ = await send(client)
    stream = turn.stream_text()
    assert await stream.__anext__() == "partial"
    assert "abort_message" not in {frame.type for frame in hanging.received}
    await stream.aclose()
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await stream.__anext__()
    await aborted(hanging, turn)


async def test_an_iterator_that_is_dropped_before_it_began_stops_nothing(
    hanging: MockServer, client: AppServerClient
) -> None:
    turn, seen = await send(client)
    stream = aiter_of(turn)
    del stream
    await seen.wait()
    assert turn.status == "running"
    await turn.abort()
    hanging.assert_received("abort_message", times=1)


async def test_closing_an_iterator_before_it_began(
    hanging: MockServer, client: AppServerClient
) -> None:
    turn, seen = await send(client)
    stream = aiter_of(turn)
    await seen.wait()
    await stream.aclose()
    await aborted(hanging, turn)


async def test_closing_an_iterator_beside_one_that_reads_stops_nothing(
    hanging: MockServer, client: AppServerClient
) -> None:
    turn, _ = await send(client)
    reader = turn.stream_text()
    assert await anext(reader) == "partial"
    await aiter_of(turn).aclose()
    assert turn.status == "running"
    await reader.aclose()
    await aborted(hanging, turn)


@pytest.mark.parametrize("method", ["stream", "stream_text"])
@pytest.mark.parametrize("how", ["closed", "dropped"])
async def test_a_stream_of_a_session_that_was_left_before_it_began(
    hanging: MockServer, client: AppServerClient, method: str, how: str
) -> None:
    session = await client.session(agent_id="a")
    seen = text_seen(client)
    stream = getattr(session, method)("?")
    await seen.wait()
    if how == "closed":
        await stream.aclose()
    del stream
    # It would wait behind a turn that nobody could stop.
    with anyio.fail_after(10):
        assert (await session.run("?")).text == "next"
    hanging.assert_received("abort_message", times=1)


async def test_cancelling_who_has_not_begun_to_read_a_stream(
    hanging: MockServer, client: AppServerClient
) -> None:
    session = await client.session(agent_id="a")
    seen = text_seen(client)

    async def handle() -> None:
        stream = session.stream("?")
        await anyio.sleep_forever()
        async for _ in stream:
            pass

    async with anyio.create_task_group() as group:
        group.start_soon(handle)
        await seen.wait()
        group.cancel_scope.cancel()
    # What anyio keeps of the cancelled task is a cycle.
    gc.collect()
    with anyio.fail_after(10):
        assert (await session.run("?")).text == "next"


def aiter_of(turn: Turn) -> letta.TurnStream[Any]:
    return turn.__aiter__()


async def test_leaving_after_the_end_stops_nothing(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        turn = client.send_turn(runtime=await start(client), payload=message())
        await turn
        async for _ in turn:
            break
        assert (await turn.abort()).status == "completed"
        async with turn:
            pass
        await client.info()
    assert "abort_message" not in {frame.type for frame in mock.received}


async def test_leaving_the_block(hanging: MockServer, client: AppServerClient) -> None:
    runtime = await start(client)
    seen = text_seen(client)
    async with client.send_turn(runtime=runtime, payload=message()) as turn:
        await seen.wait()
    assert turn.status == "aborted"
    await aborted(hanging, turn)


async def test_an_exception_in_the_block(hanging: MockServer, client: AppServerClient) -> None:
    runtime = await start(client)
    seen = text_seen(client)
    turn = client.send_turn(runtime=runtime, payload=message())

    async def block() -> None:
        async with turn:
            await seen.wait()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()
    assert turn.status == "aborted"
    await aborted(hanging, turn)


async def test_cancelling_the_block(hanging: MockServer, client: AppServerClient) -> None:
    runtime = await start(client)
    seen = text_seen(client)
    turns: list[Turn] = []

    async def block() -> None:
        async with client.send_turn(runtime=runtime, payload=message()) as turn:
            turns.append(turn)
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(block)
        await seen.wait()
        group.cancel_scope.cancel()
    await aborted(hanging, turns[0])


async def test_leaving_the_block_of_a_turn_that_cannot_end_well(
    hanging: MockServer, client: AppServerClient
) -> None:
    runtime = await start(client)
    seen = text_seen(client)
    with anyio.fail_after(10):
        async with client.send_turn(runtime=runtime, payload=message()) as turn:
            await seen.wait()
            hanging.cut_connections()
    with pytest.raises(letta.TurnInterrupted):
        await turn


INTERRUPTED = """
import asyncio, sys
import anyio
import letta_app_client as letta

async def main():
    async with letta.connect(sys.argv[2]) as client:
        started = await client.runtime_start(agent_id="a", mode="standard")
        payload = {"kind": "create_message", "messages": [{"role": "user", "content": "hi"}]}
        turn = client.send_turn(runtime=started.runtime, payload=payload)
        async for event in turn:
            if event.type == "assistant_delta":
                print("begun", flush=True)

try:
    anyio.run(main, backend=sys.argv[1])
except (KeyboardInterrupt, asyncio.CancelledError):  # what it is depends on the version of Python
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_ctrl_c(hanging: MockServer, backend: str) -> None:
    def interrupt() -> str:
        command = [sys.executable, "-c", INTERRUPTED, backend, hanging.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == "begun\n"
            program.send_signal(signal.SIGINT)
            return program.communicate(timeout=20)[0]

    assert await anyio.to_thread.run_sync(interrupt) == "interrupted\n"
    assert await anyio.to_thread.run_sync(hanging.wait_received, "abort_message")
