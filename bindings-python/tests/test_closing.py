"""A client that is closed right behind what was given up."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import letta_app_client as letta
from letta_app_client import Session
from letta_app_client.testing import MockServer, script
from tests.helpers import text_seen

pytestmark = pytest.mark.anyio

asyncio_only = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {}), ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"]
)


@pytest.fixture
def hanging(scripted: Callable[..., MockServer]) -> MockServer:
    return scripted(script.turn("partial", hang=True))


async def run(session: Session) -> None:
    await session.run("hi")


async def iterate(session: Session) -> None:
    async for _ in session.send("hi"):
        pass


async def work_meanwhile(session: Session) -> None:
    async for _ in session.stream_text("hi"):
        await anyio.sleep_forever()


async def gather(session: Session) -> None:
    await asyncio.gather(run(session), asyncio.sleep(1000))


async def wait_for(session: Session) -> None:
    await asyncio.wait_for(asyncio.create_task(run(session)), 1000)


async def group(session: Session) -> None:
    async with asyncio.TaskGroup() as tasks:  # type: ignore[attr-defined, unused-ignore]
        tasks.create_task(run(session))


async def groups(session: Session) -> None:
    async with asyncio.TaskGroup() as tasks:  # type: ignore[attr-defined, unused-ignore]
        tasks.create_task(group(session))


IN_GROUPS = pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has no groups there")


@asyncio_only
@pytest.mark.parametrize(
    "use",
    [
        run,
        iterate,
        work_meanwhile,
        gather,
        wait_for,
        pytest.param(group, marks=IN_GROUPS),
        pytest.param(groups, marks=IN_GROUPS),
    ],
)
async def test_the_turn_of_a_task_that_was_cancelled_just_before_is_stopped(
    hanging: MockServer, use: Callable[[Session], Coroutine[Any, Any, None]]
) -> None:
    client = await letta.connect(hanging.url, settle_pause=0)
    seen = text_seen(client)
    task = asyncio.ensure_future(use(await client.session(agent_id="agent-1")))
    await seen.wait()
    await anyio.lowlevel.checkpoint()
    task.cancel()
    await client.close()
    assert hanging.wait_received("abort_message", timeout=5)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client._bridge._pending == {}


@pytest.mark.parametrize("use", [run, iterate, work_meanwhile])
async def test_the_turn_of_a_group_that_was_cancelled_just_before_is_stopped(
    hanging: MockServer, use: Callable[[Session], Coroutine[Any, Any, None]]
) -> None:
    async with anyio.create_task_group() as tasks, letta.connect(hanging.url) as client:
        seen = text_seen(client)
        tasks.start_soon(use, await client.session(agent_id="agent-1"))
        await seen.wait()
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await client.close()
    assert hanging.wait_received("abort_message", timeout=5)


async def test_a_turn_that_nobody_gave_up_is_not_stopped(hanging: MockServer) -> None:
    async with letta.connect(hanging.url, settle_pause=0) as client:
        seen = text_seen(client)
        turn = (await client.session(agent_id="agent-1")).send("hi")
        await seen.wait()
    with pytest.raises(letta.TurnInterrupted):
        await turn
    hanging.assert_received("abort_message", times=0)


async def test_a_close_that_is_cancelled_closes_all_the_same(hanging: MockServer) -> None:
    client = await letta.connect(hanging.url, settle_pause=0)
    turn = (await client.session(agent_id="agent-1")).send("hi")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await client.close()
    with pytest.raises((letta.TurnInterrupted, letta.ClientClosed)):
        await turn
    assert client.state == "closed"
