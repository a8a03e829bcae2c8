"""Several sessions on one conversation of one client, and sessions that nobody got."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import Message
from letta_app_client.testing import MockServer, script

pytestmark = pytest.mark.anyio

WHERE: dict[str, Any] = {"agent_id": "agent-1", "conversation_id": "conv-1"}


def named(name: str, answer: str) -> letta.Tool[[], str]:
    def function() -> str:
        """Answers."""
        return answer

    return letta.tool(name=name)(function)


def mock_calling(*names: str) -> MockServer:
    return MockServer([script.turn(text="x", tool_calls=[script.call(name) for name in names])])


def names(groups: Any) -> list[str]:
    return [tool["name"] for group in groups or () for tool in group["tools"]]


def received(mock: MockServer, kind: str) -> list[Message]:
    return [frame for frame in mock.received if frame.type == kind]


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not holds():  # noqa: ASYNC110 - the double has no event for it
            await anyio.sleep(0.005)


async def test_a_further_session_leaves_the_tools_and_the_mode_of_the_first() -> None:
    with mock_calling("look") as mock:
        async with letta.connect(mock.url) as client:
            first = await client.session(**WHERE, tools=[named("look", "seen")], mode="strict")
            second = await client.session(**WHERE)
            assert (first.mode, second.mode) == ("strict", "strict")
            start = received(mock, "runtime_start")[-1]
            # The conversation has a mode, which stays.
            assert (start.raw.get("mode"), names(start.external_tools)) == (None, ["look"])
            (call,) = (await first.run("?")).tool_calls
            assert call.output == "seen"
            await second.close()
            (call,) = (await first.run("?")).tool_calls
            assert call.output == "seen"
            second.set_mode("acceptEdits")
            assert first.mode == "acceptEdits"
            assert not received(mock, "runtime_external_tools_update")


async def test_the_tools_of_two_sessions_go_one_by_one() -> None:
    with mock_calling("look", "find") as mock:
        async with letta.connect(mock.url) as client:
            # In another mode the first would have to be asked for the tools of the second.
            mode: letta.PermissionMode = "unrestricted"
            first = await client.session(**WHERE, mode=mode, tools=[named("look", "seen")])
            second = await client.session(**WHERE, tools=[named("find", "found")])
            result = await first.run("?")
            assert [call.output for call in result.tool_calls] == ["seen", "found"]
            await second.close()
            kind = "runtime_external_tools_update"
            await until(lambda: len(received(mock, kind)) == 1)
            (update,) = received(mock, kind)[0].raw["updates"]
            assert names(update["external_tools"]) == ["look"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_nobody_got_is_not_started_again() -> None:
    with MockServer() as mock:
        async with letta.connect(mock.url) as client:
            held = await client.session(agent_id="held", conversation_id="conv-1")
            for number in range(5):
                opening = client.session(agent_id=f"agent-{number}")
                task = asyncio.ensure_future(opening)
                # It is sent, and its answer not read yet.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            # Behind all answers.
            await client.agents.list()
            before = len(received(mock, "runtime_start"))
            assert before == 6
            mock.cut_connections()
            await until(lambda: client.stats.restored == 1)
            again = received(mock, "runtime_start")[before:]
            assert [start.agent_id for start in again] == [held.agent_id]
