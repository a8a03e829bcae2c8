"""Whoever leaves a turn stops it on the real server, as a second connection sees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from letta_app_client import AppServerClient, AssistantDelta, Fields
from tests.helpers import message, text_seen
from tests.live.support import Observer, connected, observed, start

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
both_loops = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])

ENDLESS = message("N=1000 SLEEP=20")


@pytest.fixture
async def watched(
    live: dict[str, Any],
) -> AsyncIterator[tuple[AppServerClient, Fields, Observer]]:
    async with connected(live) as client:
        runtime = await start(client, live)
        async with observed(live, runtime) as observer:
            yield client, runtime, observer


Watched = tuple[AppServerClient, Fields, Observer]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cancelling_a_task(watched: Watched) -> None:
    client, runtime, observer = watched
    seen = text_seen(client)
    task = asyncio.ensure_future(client.run_turn(runtime=runtime, payload=ENDLESS))
    await seen.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await observer.sees_the_turn_cancelled()


@both_loops
async def test_a_cancel_scope(watched: Watched) -> None:
    client, runtime, observer = watched
    seen = text_seen(client)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: client.run_turn(runtime=runtime, payload=ENDLESS))
        await seen.wait()
        group.cancel_scope.cancel()
    await observer.sees_the_turn_cancelled()


@both_loops
async def test_a_time_limit_of_the_loop(watched: Watched) -> None:
    client, runtime, observer = watched
    seen = text_seen(client)
    turn = client.send_turn(runtime=runtime, payload=ENDLESS)
    await seen.wait()
    with pytest.raises(TimeoutError):
        with anyio.fail_after(0.1):
            await turn
    await observer.sees_the_turn_cancelled()
    assert (await turn).status == "aborted"


@both_loops
async def test_abort(watched: Watched) -> None:
    client, runtime, observer = watched
    seen = text_seen(client)
    turn = client.send_turn(runtime=runtime, payload=ENDLESS)
    await seen.wait()
    assert turn.status == "running"
    result = await turn.abort()
    assert (result.status, result.stop_reason) == ("aborted", "cancelled")
    assert result.text.startswith("tok0 ")
    await observer.sees_the_turn_cancelled()


@both_loops
async def test_breaking_out_of_the_iterator(watched: Watched) -> None:
    client, runtime, observer = watched
    turn = client.send_turn(runtime=runtime, payload=ENDLESS)
    async for event in turn:
        if isinstance(event, AssistantDelta):
            break
    await observer.sees_the_turn_cancelled()
    assert (await turn).status == "aborted"
    # The conversation goes on.
    result = await client.run_turn(runtime=runtime, payload=message("N=1"))
    assert (result.status, result.text) == ("completed", "tok0 ")


@both_loops
async def test_leaving_the_block(watched: Watched) -> None:
    client, runtime, observer = watched
    seen = text_seen(client)
    async with client.send_turn(runtime=runtime, payload=ENDLESS) as turn:
        await seen.wait()
    assert turn.status == "aborted"
    await observer.sees_the_turn_cancelled()


@both_loops
async def test_a_queued_turn_is_taken_back(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        seen = text_seen(client)
        first = client.send_turn(runtime=runtime, payload=message("N=20 SLEEP=20"))
        await seen.wait()
        second = client.send_turn(runtime=runtime, payload=message("N=3"))
        async for event in second:
            if event.type == "queued":
                break
        assert (await second).status == "aborted"
        assert (await first).status == "completed"


@both_loops
async def test_a_detached_turn_goes_on(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        ended = anyio.Event()
        ends: list[str] = []

        def watch(frame: Any, _: str) -> None:
            if frame.type == "turn_finished":
                ends.append(frame.stop_reason)
                ended.set()

        client.on_message(watch)
        seen = text_seen(client)
        turn = client.send_turn(runtime=runtime, payload=message("N=10 SLEEP=20"))
        await seen.wait()
        turn.detach()
        with anyio.fail_after(20):
            await ended.wait()
        assert ends == ["end_turn"]
