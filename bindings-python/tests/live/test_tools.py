"""External tools, called by the real server."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import Message
from tests.helpers import message
from tests.live.support import LOOKUP, call, connected, start

# What differs between event loops is covered by the tests without the real server.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(120),
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
]

PAYLOAD = message(f"N=1 {call('lookup', q='x')}")


async def called(live: dict[str, Any], handler: Any) -> letta.ToolCall:
    """Lets the model call the tool, and gives what came of it."""
    async with connected(live) as client:
        client.on_external_tool_call(handler)
        runtime = await start(client, live, external_tools=[{"tools": [LOOKUP]}])
        result = await client.run_turn(
            runtime=runtime, payload=PAYLOAD, approvals=lambda _: letta.allow()
        )
    assert (result.status, result.text) == ("completed", "tok0 ")
    (tool,) = result.tool_calls
    assert (tool.name, tool.input) == ("lookup", {"q": "x"})
    return tool


async def test_a_tool_that_succeeds(live: dict[str, Any]) -> None:
    tool = await called(live, lambda call: f"found {call.input.q}")
    assert tool.status == "success"
    assert "found x" in (tool.output or "")


async def test_a_parameter_that_may_be_none_is_none_or_left_out(live: dict[str, Any]) -> None:
    async with connected(live) as client:

        def lookup(q: str, day: int | None) -> str:
            return f"found {q} of {day}"

        create_agent = {"body": {"model": live["model"]}}
        session = await client.session(create_agent=create_agent, cwd=live["cwd"], tools=[lookup])
        calls: list[dict[str, Any]] = [{"q": "x", "day": None}, {"q": "x"}, {"day": 1}]
        prompt = " ".join(call("lookup", **each) for each in calls)
        result = await session.run(f"{prompt} N=1")
    assert [one.status for one in result.tool_calls] == ["success", "success", "error"]
    *found, refused = (one.output or "" for one in result.tool_calls)
    assert all("found x of None" in each for each in found)
    assert "missing required parameter: q" in refused


async def test_half_a_surrogate_pair(live: dict[str, Any]) -> None:
    # In the prompt and in the tool's result: as an escape, which the server understands.
    async with connected(live) as client:

        def lookup(q: str) -> str:
            return f"found {q} \udcff"

        create_agent = {"body": {"model": live["model"]}}
        session = await client.session(create_agent=create_agent, cwd=live["cwd"], tools=[lookup])
        result = await session.run(f"\ud800 N=1 {call('lookup', q='x')}")
    assert (result.status, result.text) == ("completed", "tok0 ")
    assert [one.status for one in result.tool_calls] == ["success"]
    assert "found x" in (result.tool_calls[0].output or "")


async def test_tools_of_a_scope_are_for_turns_of_their_session(live: dict[str, Any]) -> None:
    async with connected(live) as client:

        def lookup(q: str) -> str:
            return f"found {q}"

        tools = letta.ToolSet([lookup], scope_id="mine")
        create_agent = {"body": {"model": live["model"]}}
        session = await client.session(create_agent=create_agent, cwd=live["cwd"], tools=tools)
        (own,) = (await session.run(f"N=1 {call('lookup', q='x')}")).tool_calls
        other = await client.run_turn(runtime=session.runtime, payload=PAYLOAD, approvals="deny")
    assert (own.status, "found x" in (own.output or "")) == ("success", True)
    assert "found x" not in str([one.output for one in other.tool_calls])


async def test_several_sessions_keep_their_tools_and_the_mode(live: dict[str, Any]) -> None:
    asked: list[str] = []

    def allow(request: letta.ApprovalRequest) -> letta.Decision:
        asked.append(request.tool_name)
        return letta.allow()

    def lookup(q: str) -> str:
        return f"found {q}"

    def find(q: str) -> str:
        return f"seen {q}"

    async with connected(live) as client:
        create_agent = {"body": {"model": live["model"]}}
        first = await client.session(
            create_agent=create_agent, cwd=live["cwd"], tools=[lookup], mode="strict"
        )
        second = await client.session(**first.runtime, tools=[find], approvals=allow)
        (own,) = (await first.run(f"N=1 {call('lookup', q='x')}")).tool_calls
        (other,) = (await second.run(f"N=1 {call('find', q='x')}")).tool_calls
        assert ("found x" in (own.output or ""), "seen x" in (other.output or "")) == (True, True)
        # In `standard` this would run without asking.
        await second.run(f"N=1 {call('Bash', command='echo 1', description='says 1')}")
        assert asked[-1:] == ["Bash"]
        await second.close()
        (own,) = (await first.run(f"N=1 {call('lookup', q='y')}")).tool_calls
        (gone,) = (await first.run(f"N=1 {call('find', q='y')}")).tool_calls
    assert ("found y" in (own.output or ""), "seen y" in (gone.output or "")) == (True, False)


async def test_a_tool_that_raises(live: dict[str, Any]) -> None:
    async def handler(_: Message) -> str:
        raise LookupError("no such row")

    tool = await called(live, handler)
    assert tool.status == "error"
    assert "no such row" in (tool.output or "")
    assert "Traceback" not in (tool.output or "")


async def test_a_tool_that_says_it_failed(live: dict[str, Any]) -> None:
    content = [{"type": "text", "text": "the table is empty"}]
    tool = await called(live, lambda _: {"content": content, "is_error": True})
    assert tool.status == "error"
    assert "the table is empty" in (tool.output or "")


async def test_a_tool_whose_turn_is_aborted(live: dict[str, Any]) -> None:
    begun, cancelled = anyio.Event(), anyio.Event()

    async def handler(_: Message) -> str:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()
        return "never"

    async with connected(live) as client:
        client.on_external_tool_call(handler)
        runtime = await start(
            client, live, mode="unrestricted", external_tools=[{"tools": [LOOKUP]}]
        )
        turn = client.send_turn(runtime=runtime, payload=PAYLOAD)
        with anyio.fail_after(20):
            await begun.wait()
        assert "lookup started" in turn.explain()
        # The server ends such a turn only once the tool has answered: the client answers for it.
        result = await turn.abort()
        with anyio.fail_after(3):
            await cancelled.wait()
        assert (result.status, result.completed_by) == ("aborted", "turn_finished")
        # And nothing is left in the way of the next one.
        with anyio.fail_after(10):
            following = await client.run_turn(runtime=runtime, payload=message("N=1"))
        assert (following.status, following.text) == ("completed", "tok0 ")
        assert client.stats.handler_errors == 0
