"""Permissions of the real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import ApprovalRequest, Decision, allow, deny
from tests.helpers import frame_seen, message
from tests.live.support import call, connected, start, touch

# What differs between event loops is covered by the tests without the real server.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(120),
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
]


@pytest.fixture
def made(live: dict[str, Any], request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Where a file with a name of this test's own would be."""
    test = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    return lambda name: Path(live["cwd"]) / f"{test}-{name}"


async def test_allowed(live: dict[str, Any], made: Callable[[str], Path]) -> None:
    asked: list[ApprovalRequest] = []

    def decide(request: ApprovalRequest) -> Decision:
        asked.append(request)
        return allow()

    async with connected(live) as client:
        runtime = await start(client, live)
        payload = message(f"N=1 {touch(made('file').name)}")
        result = await client.run_turn(runtime=runtime, payload=payload, approvals=decide)
    (request,) = asked
    assert request.tool_name == "Bash"
    assert request.input.command == f"touch {made('file').name}"
    assert request.runtime == runtime
    assert [call.status for call in result.tool_calls] == ["success"]
    assert result.text == "tok0 "
    assert made("file").exists()


async def test_denied(live: dict[str, Any], made: Callable[[str], Path]) -> None:
    async def decide(_: ApprovalRequest) -> Decision:
        await anyio.lowlevel.checkpoint()
        return deny("leave my files alone")

    async with connected(live) as client:
        runtime = await start(client, live)
        payload = message(f"N=1 {touch(made('file').name)}")
        result = await client.run_turn(runtime=runtime, payload=payload, approvals=decide)
        (denied,) = result.tool_calls
        assert denied.status == "error"
        assert "leave my files alone" in (denied.output or "")
        result = await client.run_turn(runtime=runtime, payload=payload, approvals="deny")
        assert [call.status for call in result.tool_calls] == ["error"]
    assert result.text == "tok0 "
    assert not made("file").exists()


async def test_other_arguments(live: dict[str, Any], made: Callable[[str], Path]) -> None:
    def decide(request: ApprovalRequest) -> Decision:
        return allow(updated_input={**request.input, "command": f"touch {made('other').name}"})

    async with connected(live) as client:
        runtime = await start(client, live)
        payload = message(f"N=1 {touch(made('file').name)}")
        result = await client.run_turn(runtime=runtime, payload=payload, approvals=decide)
    assert [call.status for call in result.tool_calls] == ["success"]
    assert made("other").exists()
    assert not made("file").exists()


async def test_two_calls_in_one_run(live: dict[str, Any], made: Callable[[str], Path]) -> None:
    asked: list[str] = []

    async def decide(request: ApprovalRequest) -> Decision:
        asked.append(request.input.command.split("-")[-1])
        return allow() if asked[-1] == "one" else deny("one is enough")

    async with connected(live) as client:
        runtime = await start(client, live)
        calls = f"{touch(made('one').name)} {touch(made('two').name)}"
        turn = client.send_turn(
            runtime=runtime, payload=message(f"N=1 PAR {calls}"), approvals=decide
        )
        events = [event async for event in turn]
        result = await turn
    assert asked == ["one", "two"]
    assert [call.status for call in result.tool_calls] == ["success", "error"]
    decided = [event.decision for event in events if isinstance(event, letta.ApprovalDecided)]
    assert decided == ["allow", "deny"]
    assert (made("one").exists(), made("two").exists()) == (True, False)


async def test_a_question_of_the_agent(live: dict[str, Any]) -> None:
    option = {"label": "A", "description": "a"}
    question = {
        "question": "Which?",
        "header": "Pick",
        "options": [option, {"label": "B", "description": "b"}],
        "multiSelect": False,
    }

    def decide(request: ApprovalRequest) -> Decision:
        (asked,) = request.questions
        return request.answer({asked.question: asked.options[1].label})

    async with connected(live) as client:
        client.on_approval_request(decide)
        runtime = await start(client, live)
        payload = message(f"N=1 {call('AskUserQuestion', questions=[question])}")
        result = await client.run_turn(runtime=runtime, payload=payload)
    (answered,) = result.tool_calls
    assert '"Which?"="B"' in (answered.output or "")


async def test_answered_later(live: dict[str, Any], made: Callable[[str], Path]) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        finished = frame_seen(client, "turn_finished")
        payload = message(f"N=1 {touch(made('file').name)}")
        with pytest.raises(letta.ApprovalRequired) as caught:
            await client.run_turn(runtime=runtime, payload=payload, approvals="raise")
        request = caught.value.request
        assert request is not None
        decision: Any = deny("not now").to_dict()
        accepted = await client.submit_input(
            runtime=runtime,
            payload={
                "kind": "approval_response",
                "request_id": request.request_id,
                "decision": decision,
            },
        )
        assert accepted.accepted is True
        with anyio.fail_after(20):
            await finished.wait()
    assert not made("file").exists()


async def test_paused(live: dict[str, Any], made: Callable[[str], Path]) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        payload = message(f"N=1 {touch(made('file').name)}")
        result = await client.run_turn(runtime=runtime, payload=payload)
        assert result.status == "requires_approval"
        assert result.terminal_message is not None
        assert result.terminal_message.type == "control_request"
        assert (await client.abort(runtime=runtime)).aborted is True
