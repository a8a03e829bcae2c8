"""What the reference client's ``runTurn`` gets wrong (protocol section 17.1) is right here."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient, Message
from letta_app_client.testing import MockServer, script
from tests.helpers import message, start
from tests.replaying import outcomes

TOOL = {"name": "lookup", "description": "", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.anyio
@pytest.mark.parametrize("generation", ["single", "split"])
@pytest.mark.parametrize("fields", [{}, {"subagent_id": "subagent-1"}])
async def test_a_foreign_stop_reason_does_not_end_the_turn(
    scripted: Callable[..., MockServer], generation: str, fields: dict[str, str]
) -> None:
    mock = scripted(script.turn("mine", tool_calls=[("lookup", {})]), generation=generation)
    async with letta.connect(mock.url) as client:
        heard = anyio.Event()

        def listen(frame: Message, _: str) -> None:
            if frame.type == "stream_delta" and frame.delta.get("run_id") == "run-of-another":
                heard.set()

        async def tool(_: Message) -> str:
            delta = {
                "message_type": "stop_reason",
                "stop_reason": "end_turn",
                "run_id": "run-of-another",
            }
            mock.push({"type": "stream_delta", "runtime": runtime, "delta": delta, **fields})
            await heard.wait()
            return "found"

        client.on_message(listen)
        client.on_external_tool_call(tool)
        runtime = await start(client, mode="unrestricted", external_tools=[{"tools": [TOOL]}])
        with anyio.fail_after(10):
            result = await client.run_turn(runtime=runtime, payload=message())
    assert (result.status, result.text) == ("completed", "mine")
    assert [call.output for call in result.tool_calls] == ["found"]
    if generation == "single" or fields:
        # A split server does not say whose a run is.
        assert "run-of-another" not in result.run_ids


@pytest.mark.parametrize("generation", ["single", "split"])
def test_an_error_that_is_retried_does_not_fail_the_turn(generation: str, tmp_path: Path) -> None:
    (result,) = asyncio.run(outcomes(f"{generation}/llm_error_recovers", tmp_path))
    assert isinstance(result, letta.TurnResult)
    assert (result.status, result.stop_reason, result.error) == ("completed", "end_turn", None)
    assert result.text


@pytest.mark.parametrize("generation", ["single", "split"])
def test_the_usage_is_there(generation: str, tmp_path: Path) -> None:
    """One run, of which the scripted model said 10 prompt tokens."""
    (result,) = asyncio.run(outcomes(f"{generation}/simple_turn", tmp_path))
    assert isinstance(result, letta.TurnResult)
    usage = result.usage
    assert usage.prompt_tokens == 10
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 10


@pytest.mark.anyio
@pytest.mark.parametrize("generation", ["single", "split"])
async def test_a_lost_connection_ends_the_wait(
    scripted: Callable[..., MockServer], generation: str
) -> None:
    mock = scripted(script.turn(["a", "b"], disconnect_after=1), generation=generation)
    async with letta.connect(mock.url) as client:
        runtime = await start(client)
        with anyio.fail_after(10), pytest.raises(letta.TurnInterrupted) as caught:
            await client.run_turn(runtime=runtime, payload=message())
    assert caught.value.result is not None
    assert caught.value.result.text == "a"


def test_a_turn_has_no_limit_of_30_seconds() -> None:
    """A live test has a turn of 45 seconds."""
    for method in (AppServerClient.run_turn, AppServerClient.send_turn):
        limits = inspect.signature(method).parameters
        assert limits["timeout"].default is None
        assert limits["idle_timeout"].default == 600
        assert limits["tool_timeout"].default == 3600
        assert limits["approval_timeout"].default is None
