"""The interface as it was documented before it was there, against the double.

The programs are in ``documented.py``; ``live/test_documented_api.py`` gives them to the
real server.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

import letta_app_client as letta
from letta_app_client.testing import MockServer, script
from tests import documented
from tests.readme import Printed
from tests.test_readme import OWN_SERVER

pytestmark = pytest.mark.anyio

URL = "ws://127.0.0.1:4500"


async def test_the_documented_surface_in_snake_case() -> None:
    printed = Printed()
    answers: dict[str, Any] = {"list_models": {"entries": []}}
    with MockServer([script.turn("42")], answers=answers) as mock:
        await documented.taken(documented.surface, {"print": printed}, **{URL: mock.url})()
        assert len([one for one in mock.received if one.type == "input"]) == 3
        mock.assert_received("some_future_command", times=1)
        assert any("some_future_command" in text for text in mock.unexpected)
    assert (
        "\nend_turn 42 Usage(prompt_tokens=10, completion_tokens=2, total_tokens=12" in printed.text
    )
    lines = printed.text.splitlines()
    assert "control turn_finished" in lines
    assert next(line for line in lines if line in ("True", "False")) == "True"
    assert "<class 'list'>" in printed.text


async def test_the_layer_people_will_use() -> None:
    printed = Printed()
    call = script.call("Bash", {"command": "ls"})
    turns = [
        script.turn("fine"),
        script.turn(["4", "2", "\n"], tool_calls=[call]),
        script.turn(["so ", "it is", "\n"]),
        script.turn("half", hang=True),
        script.turn("then b"),
        *(script.turn("mapped") for _ in range(3)),
    ]
    with MockServer(turns, token="t0ken") as mock:
        await documented.taken(documented.layer, {"print": printed}, **{URL: mock.url})()
    fine, events, first, text, begun, handle, later, mapped = printed.text.splitlines()
    assert (fine, events, first, text) == ("fine 12 True []", "-> Bash", "42", "so it is")
    assert begun == "half"
    assert handle.startswith("aborted aborted after ")
    assert (later, mapped) == ("then b", "['mapped', 'mapped', 'mapped']")


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script of a shell")
def test_the_blocking_facade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "letta"
    program.write_text(f"#!{sys.executable}\n" + OWN_SERVER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    printed = Printed()
    documented.taken(documented.blocking, {"print": printed})()
    assert "AssistantDelta" in printed.text
    assert printed.text.endswith("\nHello world\n")


async def test_tools_from_functions() -> None:
    printed = Printed()
    query_frame = documented.taken(documented.tools, {"print": printed})()
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
    assert printed.text == "select 1 20 csv query_frame\n"


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
    printed = Printed()
    on_approval, rules = documented.taken(documented.approvals, {"print": printed})()
    saved = {"behavior": "allow", "selected_permission_suggestion_ids": ["save-default"]}
    for approvals, rest in ((on_approval, saved), (rules, {"behavior": "allow"})):
        with MockServer([ASKING]) as mock:
            async with letta.connect(mock.url) as client:
                session = await client.session(agent_id="a", approvals=approvals)
                statuses = [call.status for call in (await session.run("?")).tool_calls]
            assert statuses == ["error", "success", "success"]
            assert decisions(mock) == [{"behavior": "deny", "message": "not that"}, rest, rest]
    assert set(printed.text.splitlines()) == {"Bash () None", "Read () None"}


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


async def test_structured_output() -> None:
    printed = Printed()
    found = {"file": "a.py", "line": 3, "why": "It divides by zero."}
    with MockServer([script.turn(tool_calls=[script.call("submit_result", found)])]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a")
            await documented.taken(documented.output, {"print": printed})(session)
    assert printed.text == "a.py\n"
