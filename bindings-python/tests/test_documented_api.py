"""The interface as it was documented before it was there: each program, nearly word for word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import (
    ToolContext,
    allow,
    create_app_server_client,
    deny,
    policy,
    tool,
)
from letta_app_client.testing import MockServer, script
from tests.helpers import text_seen

pytestmark = pytest.mark.anyio


async def test_the_documented_surface_in_snake_case() -> None:
    printed: list[Any] = []
    answers: dict[str, Any] = {"list_models": {"entries": []}}
    with MockServer([script.turn("42")], answers=answers) as mock:
        client = await create_app_server_client(url=mock.url, settle_pause=0).connect()
        off = client.on_message(lambda message, channel: printed.append((channel, message.type)))

        started = await client.runtime_start(
            agent_id="agent-123",
            create_conversation={"body": {}},
            cwd="/Users/me/project",
            mode="standard",
            client_info={"name": "my_app", "version": "0.1.0"},
        )
        result = await client.run_turn(
            runtime=started.runtime,
            payload={
                "kind": "create_message",
                "messages": [{"role": "user", "content": "Summarize the tests."}],
            },
        )
        assert (result.stop_reason, result.text, result.usage.total_tokens) == (
            "end_turn",
            "42",
            12,
        )
        payload = {"kind": "create_message", "messages": [{"role": "user", "content": "more"}]}
        client.input(runtime=started.runtime, payload=payload)  # fire and forget
        accepted = await client.submit_input(runtime=started.runtime, payload=payload)
        assert accepted.accepted
        await client.sync(
            runtime=started.runtime, recover_approvals=False, force_device_status=True
        )
        assert isinstance((await client.abort(runtime=started.runtime)).aborted, bool)
        client.send_raw({"type": "some_future_command", "x": 1})
        reply = await client.request("list_models", force=True)
        assert reply.entries == []
        off()
        await client.close()
        assert len([one for one in mock.received if one.type == "input"]) == 3
        mock.assert_received("some_future_command", times=1)
        assert any("some_future_command" in text for text in mock.unexpected)
    assert ("control", "turn_finished") in printed or ("stream", "turn_finished") in printed


async def test_the_layer_people_will_use() -> None:
    printed: list[Any] = []
    call = script.call("Bash", {"command": "ls"})
    turns = [
        script.turn("fine"),
        script.turn(["4", "2"], tool_calls=[call]),
        script.turn(["so ", "it is"]),
        script.turn("half", hang=True),
        script.turn("then b"),
        *(script.turn("mapped") for _ in range(3)),
    ]
    with MockServer(turns, token="t0ken") as mock:
        async with letta.connect(mock.url, token="t0ken", settle_pause=0) as client:
            session = await client.session(agent_id="agent-123", cwd=".", mode="acceptEdits")

            # 1. to completion
            result = await session.run("Inspect this repo", timeout=600, idle_timeout=120)
            assert (result.text, result.usage.total_tokens) == ("fine", 12)
            assert (result.duration > 0, [c.name for c in result.tool_calls]) == (True, [])

            # 2. events
            async for event in session.stream("Run the tests"):
                match event:
                    case letta.AssistantDelta(text=text):
                        printed.append(text)
                    case letta.ToolCallStart(name=name):
                        printed.append(("->", name))
                    case letta.UnknownEvent(raw=raw):
                        printed.append(("new:", raw))
            assert printed == [("->", "Bash"), "4", "2"]

            # 3. only text
            chunks = [chunk async for chunk in session.stream_text("Explain it")]
            assert "".join(chunks) == "so it is"

            # 4. a handle: await it, iterate it, stop it
            begun = text_seen(client)
            turn = session.send("Refactor module a")
            later = session.send("and then module b")  # queued by the server; its own handle
            await begun.wait()
            await turn.abort()  # aborts, drains, resolves as aborted
            assert turn.status == "aborted"
            assert turn.explain().startswith("aborted after ")
            assert (await later).text == "then b"

            # 5. many at once, bounded
            results = await letta.map(
                client, ["a", "b", "c"], agents=["agent-1", "agent-2"], limit=2
            )
            assert [item.text for item in results] == ["mapped"] * 3


async def test_tools_from_functions() -> None:
    seen: list[Any] = []

    @tool
    def query_frame(
        sql: Annotated[str, "SQL over the table `df`"],
        limit: int = 20,
        style: Literal["csv", "markdown"] = "markdown",
        ctx: ToolContext | None = None,  # injected, not part of the schema
    ) -> str:
        """Run SQL against the notebook's dataframe."""
        seen.append((sql, limit, style, ctx is not None and ctx.tool_name))
        return "3 rows"

    assert query_frame.description == "Run SQL against the notebook's dataframe."
    assert query_frame.parameters == {
        "type": "object",
        "properties": {
            "sql": {"type": "string", "description": "SQL over the table `df`"},
            "limit": {"type": "integer", "default": 20},
            "style": {"type": "string", "enum": ["csv", "markdown"], "default": "markdown"},
        },
        "required": ["sql"],
        "additionalProperties": False,
    }
    call = script.call("query_frame", {"sql": "select 1", "style": "csv"}, needs_approval=True)
    with MockServer([script.turn(tool_calls=[call])]) as mock:
        async with (
            letta.connect(mock.url) as client,
            client.session(agent_id="a", tools=[query_frame]) as session,
        ):
            (used,) = (await session.run("?")).tool_calls
    assert (used.status, used.output) == ("success", "3 rows")
    assert seen == [("select 1", 20, "csv", "query_frame")]


async def on_approval(request: letta.ApprovalRequest) -> letta.Decision:
    await anyio.lowlevel.checkpoint()
    assert (request.diffs, request.blocked_path) == ((), None)
    if request.tool_name == "Bash" and "rm -rf" in request.input.get("command", ""):
        return deny("not that")
    if request.suggestions:
        return allow(suggestions=[request.suggestions[0].id])
    return allow(updated_input={**request.input, "timeout": 60})


def decisions(mock: MockServer) -> list[Any]:
    payloads = [frame.raw["payload"] for frame in mock.received if frame.type == "input"]
    return [one["decision"] for one in payloads if one["kind"] == "approval_response"]


ASKING = script.turn(
    tool_calls=[
        script.call("Bash", {"command": "rm -rf /"}, needs_approval=True),
        script.call("Bash", {"command": "pytest -q"}, needs_approval=True),
        script.call("Read", {"path": "a"}, needs_approval=True),
    ]
)


async def test_approvals_by_a_function_or_a_policy() -> None:
    rules = policy.first_match(
        policy.allow("Read", "Grep", "Glob"),
        policy.allow("Bash", command=r"^(pytest|ruff)\b"),
        policy.ask(on_approval),
    )
    saved = {"behavior": "allow", "selected_permission_suggestion_ids": ["save-default"]}
    for approvals, rest in ((on_approval, saved), (rules, {"behavior": "allow"})):
        with MockServer([ASKING]) as mock:
            async with letta.connect(mock.url) as client:
                session = await client.session(agent_id="a", approvals=approvals)
                statuses = [call.status for call in (await session.run("?")).tool_calls]
            assert statuses == ["error", "success", "success"]
            assert decisions(mock) == [{"behavior": "deny", "message": "not that"}, rest, rest]


async def test_approvals_by_a_word() -> None:
    with MockServer([ASKING]) as mock:
        async with letta.connect(mock.url, settle_pause=0) as client:
            session = await client.session(agent_id="a")
            denied = await session.run("?")
            assert [call.status for call in denied.tool_calls] == ["error"] * 3
            paused = await session.run("?", approvals="pause", check=False)
            assert paused.status == "requires_approval"
            await session.abort()
            with pytest.raises(letta.ApprovalRequired) as wanted:
                await session.run("?", approvals="raise")
            assert wanted.value.request is not None
            assert wanted.value.request.tool_name == "Bash"


@dataclass
class Finding:
    file: str
    line: int
    why: str


async def test_structured_output() -> None:
    found = {"file": "a.py", "line": 3, "why": "It divides by zero."}
    with MockServer([script.turn(tool_calls=[script.call("submit_result", found)])]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a")
            result = await session.run("Find the worst bug", output_type=Finding)
            assert result.output.file == "a.py"
