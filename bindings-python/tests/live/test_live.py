"""Against the real server, with a model that obeys the directives in the text."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient, Fields, Message
from tests.helpers import message

# A harmless command such as `echo` would run without asking.
BASH = quote('{"command":"touch made-by-a-test","description":"makes a file"}')

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@asynccontextmanager
async def connected(live: dict[str, Any], **options: Any) -> AsyncIterator[AppServerClient]:
    """A client whose last frames are in the log when the test fails."""
    begun = time.monotonic()
    frames: deque[str] = deque(maxlen=100)

    def note(arrow: str, text: str) -> None:
        frames.append(f"{time.monotonic() - begun:.3f} {arrow} {text[:400]}")

    async with letta.connect(live["url"], **options) as client:
        client.on_send(lambda command: note(">", json.dumps(command)))
        client.on_message(lambda frame, _: note("<", frame.raw_text))
        try:
            yield client
        except BaseException:
            logging.getLogger("tests.live").error("%s", "\n".join(frames))  # noqa: TRY400
            raise


async def start(client: AppServerClient, live: dict[str, Any], **fields: Any) -> Fields:
    agent = {"body": {"name": "live", "memory_blocks": [], "model": live["model"]}}
    options: dict[str, Any] = {
        "create_agent": {**agent, "pin_global": False},
        "create_conversation": {"body": {}},
        "mode": "standard",
        "cwd": live["cwd"],
    }
    started = await client.runtime_start(**{**options, **fields})
    runtime = started.runtime
    assert isinstance(runtime, Fields)
    return runtime


def allow_everything(client: AppServerClient) -> list[str]:
    """Answers every permission request; gives the names of the tools that asked."""
    asked: list[str] = []

    def answer(frame: Message, _: str) -> None:
        if frame.type == "control_request":
            asked.append(frame.request.tool_name)
            decision = {"behavior": "allow"}
            client.input(
                runtime=frame.runtime,
                payload={
                    "kind": "approval_response",
                    "request_id": frame.request_id,
                    "decision": decision,
                },
            )

    client.on_message(answer)
    return asked


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


async def test_an_external_tool(live: dict[str, Any]) -> None:
    parameters = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
    tool = {"name": "lookup", "description": "Looks things up", "parameters": parameters}
    arguments = quote('{"q":"x"}')
    async with connected(live) as client:
        asked = allow_everything(client)
        client.on_external_tool_call(lambda call: f"found {call.input.q}")
        runtime = await start(client, live, external_tools=[{"tools": [tool]}])
        result = await client.run_turn(
            runtime=runtime, payload=message(f"N=1 TOOL=lookup|{arguments}"), approvals="wait"
        )
    assert asked == ["lookup"]
    (call,) = result.tool_calls
    assert (call.name, call.status, call.input) == ("lookup", "success", {"q": "x"})
    assert call.output is not None
    assert "found x" in call.output
    assert result.text == "tok0 "


async def test_twenty_turns_back_to_back(live: dict[str, Any]) -> None:
    """A turn sent while the server cleans up could not be approved (section 18)."""
    async with connected(live) as client:
        asked = allow_everything(client)
        runtime = await start(client, live)
        for index in range(20):
            with_tool = index % 2 == 1
            text = f"N=2 turn {index}" + (f" TOOL=Bash|{BASH}" if with_tool else "")
            result = await client.run_turn(
                runtime=runtime, payload=message(text), approvals="wait", idle_timeout=20
            )
            assert (result.status, result.text) == ("completed", "tok0 tok1 "), index
            assert not result.detached
            if with_tool:
                assert [call.status for call in result.tool_calls] == ["success"]
        assert asked == ["Bash"] * 10


async def test_an_approval_is_returned_and_answered_later(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        finished = anyio.Event()

        def watch(frame: Message, _: str) -> None:
            if frame.type == "turn_finished":
                finished.set()

        client.on_message(watch)
        payload = message(f"N=1 TOOL=Bash|{BASH}")
        result = await client.run_turn(runtime=runtime, payload=payload)
        assert result.status == "requires_approval"
        request = result.terminal_message
        assert request is not None
        accepted = await client.submit_input(
            runtime=runtime,
            payload={
                "kind": "approval_response",
                "request_id": request.request_id,
                "decision": {"behavior": "deny", "message": "not now"},
            },
        )
        assert accepted.accepted is True
        await finished.wait()


async def test_cancelling_stops_the_turn(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        streaming, finished = anyio.Event(), anyio.Event()
        ends: list[str] = []

        def watch(frame: Message, _: str) -> None:
            if frame.type == "stream_delta" and frame.delta.message_type == "assistant_message":
                streaming.set()
            if frame.type == "turn_finished":
                ends.append(frame.stop_reason)
                finished.set()

        client.on_message(watch)
        async with anyio.create_task_group() as group:
            payload = message("N=1000 SLEEP=20")
            group.start_soon(lambda: client.run_turn(runtime=runtime, payload=payload))
            await streaming.wait()
            group.cancel_scope.cancel()
        await finished.wait()
        assert ends == ["cancelled"]
