"""Turns of the real server, with a model that obeys the directives in the text."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import AssistantDelta, AssistantMessage, ReasoningMessage, TurnResult
from tests.helpers import message
from tests.live.support import connected, start, touch

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


async def test_a_turn(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        info = client.server_info
        assert info is not None
        assert info.letta_code_version == live["version"]
        runtime = await start(client, live)
        result = await client.run_turn(runtime=runtime, payload=message("N=3"))
    assert result.text == "tok0 tok1 tok2 "
    assert (result.status, result.stop_reason) == ("completed", "end_turn")
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (10, 3)
    assert len(result.run_ids) == 1


@on_asyncio
async def test_a_turn_is_followed(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        turn = client.send_turn(runtime=runtime, payload=message("N=3 REASON=2"))
        events = [event async for event in turn]
        result = await turn
    said = "".join(event.text for event in events if isinstance(event, AssistantDelta))
    assert said == result.text == "tok0 tok1 tok2 "
    usage = [event.usage for event in events if isinstance(event, letta.UsageReported)]
    assert [one.completion_tokens for one in usage] == [5]
    assert isinstance(events[-1], letta.TurnFinished)
    assert not any(isinstance(event, letta.UnknownEvent) for event in events)
    thought, answer = result.messages
    assert isinstance(thought, ReasoningMessage)
    assert thought.text.startswith("think0 ")
    assert isinstance(answer, AssistantMessage)
    assert answer.text == result.text


async def test_twenty_turns_back_to_back(live: dict[str, Any]) -> None:
    """A turn sent while the server cleans up could not be approved (section 18)."""
    asked: list[str] = []

    def decide(request: letta.ApprovalRequest) -> letta.Decision:
        asked.append(request.tool_name)
        return letta.allow()

    async with connected(live) as client:
        client.on_approval_request(decide)
        runtime = await start(client, live)
        for index in range(20):
            with_tool = index % 2 == 1
            text = f"N=2 turn {index}" + (f" {touch('twenty')}" if with_tool else "")
            result = await client.run_turn(runtime=runtime, payload=message(text), idle_timeout=20)
            assert (result.status, result.text) == ("completed", "tok0 tok1 "), index
            assert not result.detached
            if with_tool:
                assert [call.status for call in result.tool_calls] == ["success"]
        assert asked == ["Bash"] * 10


@on_asyncio
async def test_two_turns_at_once_in_one_conversation(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        results: dict[int, TurnResult] = {}

        async def run(tokens: int) -> None:
            payload = message(f"N={tokens} SLEEP=20")
            results[tokens] = await client.run_turn(runtime=runtime, payload=payload)

        async with anyio.create_task_group() as group:
            group.start_soon(run, 2)
            group.start_soon(run, 3)
    texts = {tokens: result.text for tokens, result in results.items()}
    assert texts == {2: "tok0 tok1 ", 3: "tok0 tok1 tok2 "}
    assert {result.status for result in results.values()} == {"completed"}
    assert {result.disposition for result in results.values()} == {"started", "queued"}
    assert not any(result.detached for result in results.values())


@on_asyncio
async def test_ten_conversations_at_once(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        first = await start(client, live)
        others = [await start(client, live, agent_id=first.agent_id) for _ in range(9)]
        results: dict[str, TurnResult] = {}

        async def run(runtime: letta.Fields, tokens: int) -> None:
            payload = message(f"N={tokens} SLEEP=30")
            result = await client.run_turn(runtime=runtime, payload=payload)
            assert result.text == "".join(f"tok{index} " for index in range(tokens))
            results[runtime.conversation_id] = result

        async with anyio.create_task_group() as group:
            for index, runtime in enumerate([first, *others]):
                group.start_soon(run, runtime, index + 2)
    assert len(results) == 10
    assert {result.status for result in results.values()} == {"completed"}
    # One after the other they would have taken longer than the longest of them.
    assert all(result.disposition == "started" for result in results.values())


@on_asyncio
async def test_a_model_that_fails_and_recovers(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        payload = message("N=2 ERR=500x2 recovers")
        turn = client.send_turn(runtime=runtime, payload=payload)
        events = [event async for event in turn]
        result = await turn
    assert (result.status, result.text, result.error) == ("completed", "tok0 tok1 ", None)
    assert any(isinstance(event, letta.Retry) for event in events)


@on_asyncio
async def test_long_turns_with_default_options(live: dict[str, Any]) -> None:
    """One of 45 s, and one whose model keeps failing until the server gives up; at once."""
    results: dict[str, TurnResult] = {}

    async def run(name: str, text: str) -> None:
        async with connected(live) as client:
            runtime = await start(client, live)
            results[name] = await client.run_turn(runtime=runtime, payload=message(text))

    async with anyio.create_task_group() as group:
        group.start_soon(run, "long", "N=15 SLEEP=3000")
        group.start_soon(run, "failing", "ERR=500 always")
    long, failing = results["long"], results["failing"]
    assert (long.status, long.stop_reason) == ("completed", "end_turn")
    assert long.duration >= 45
    assert long.text.endswith("tok14 ")
    assert (failing.status, failing.stop_reason) == ("failed", "llm_api_error")
    assert failing.error
    assert failing.text == ""
