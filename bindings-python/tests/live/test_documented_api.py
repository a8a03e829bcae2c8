"""The interface as it was documented before it was there, against the real server.

The programs are those of ``documented.py``, which ``test_documented_api.py`` gives to the double.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import letta_app_client as letta
from tests import documented
from tests.live.support import call, connected
from tests.readme import Printed

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(120),
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
]

URL = "ws://127.0.0.1:4500"
LETTA = Path(__file__).parents[3] / "tests" / "live" / "letta.mjs"

ELSEWHERE = {
    "agent-123": "the server gives its agents their ids itself",
    '{"name": "helper"}': "without an account there is no model that an agent has by default",
    "Run the tests": "the scripted model wants to be told which tool to call",
    "Refactor module a": "the scripted model would be done before it is stopped",
    "Find the worst bug": "the scripted model wants to be told what to hand in",
    "rm -rf": "an answer that were wrong would have it done: the tests stop another command",
}
"""What the programs say that cannot be so here, and why; it is replaced in their text."""


def session(client: letta.AppServerClient, live: dict[str, Any], **options: Any) -> letta.Opening:
    body = {"name": "live", "memory_blocks": [], "model": live["model"]}
    agent = {"body": body, "pin_global": False}
    return client.session(create_agent=agent, cwd=live["cwd"], **options)


def made(live: dict[str, Any], which: str) -> set[str]:
    return {path.name for path in Path(live["cwd"]).glob(f"*-{which}")}


def taken(function: Any, printed: Printed, **places: str) -> Any:
    """A program with nothing replaced but what the table says."""
    assert set(places) <= {*ELSEWHERE, URL, "agent-1", "agent-2"}
    return documented.taken(function, {"print": printed}, **places)


async def test_the_documented_surface_in_snake_case(live: dict[str, Any]) -> None:
    printed = Printed()
    async with connected(live) as client, session(client, live) as one:
        places = {URL: live["url"], "agent-123": one.agent_id}
        await taken(documented.surface, printed, **places)()
    lines = printed.text.splitlines()
    ends = [line for line in lines if line.startswith("end_turn ")]
    assert [line.partition(" Usage(prompt_tokens=")[0] for line in ends] == ["end_turn tok0 tok1 "]
    assert "control turn_finished" in lines
    assert next(line for line in lines if line in ("True", "False")) == "True"
    assert "<class 'list'>" in lines


async def test_the_layer_people_will_use(live: dict[str, Any]) -> None:
    printed = Printed()
    async with (
        connected(live) as client,
        session(client, live) as one,
        session(client, live) as other,
    ):
        places = {
            URL: live["url"],
            "agent-123": one.agent_id,
            "agent-1": one.agent_id,
            "agent-2": other.agent_id,
            "Run the tests": "Run the tests " + call("Bash", command="echo hi", description="says"),
            "Refactor module a": "Refactor module a N=2000 SLEEP=20",
        }
        await taken(documented.layer, printed, **places)()
    # The scripted model ends no line.
    assert printed.text.startswith("tok0 tok1  ")
    lines = printed.text.splitlines()
    assert lines[0].endswith(" True []")
    assert lines[1] == "-> Bash"
    # Events, text, and the first word of what is stopped.
    assert lines[2] == "tok0 tok1 " * 2 + "tok0 "
    assert lines[3].startswith("aborted aborted after ")
    assert lines[4:] == ["tok0 tok1 ", "['tok0 tok1 ', 'tok0 tok1 ', 'tok0 tok1 ']"]


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script of a shell")
def test_the_blocking_facade(
    anyio_backend: str, live: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert anyio_backend
    program = tmp_path / "letta"
    program.write_text(f"#!/bin/sh\nexec node '{LETTA}' \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    printed = Printed()
    body = f'{{"name": "helper", "model": "{live["model"]}"}}'
    taken(documented.blocking, printed, **{'{"name": "helper"}': body})()
    assert "AssistantDelta(text='tok0 '" in printed.text
    assert printed.text.endswith("\ntok0 tok1 \n")


async def test_tools_from_functions(live: dict[str, Any]) -> None:
    printed = Printed()
    query_frame = taken(documented.tools, printed)()
    asked = call("query_frame", sql="select 1", style="csv")
    async with connected(live) as client, session(client, live, tools=[query_frame]) as one:
        (used,) = (await one.run(f"? {asked}")).tool_calls
    assert used.status == "success"
    assert "3 rows" in (used.output or "")
    assert printed.text == "select 1 20 csv query_frame\n"


@pytest.mark.parametrize("which", ["function", "policy"])
async def test_approvals(live: dict[str, Any], which: str) -> None:
    printed = Printed()
    places = {"rm -rf": "touch forbidden"}
    on_approval, rules = taken(documented.approvals, printed, **places)()
    commands = [
        f"touch forbidden-{which}",
        f"touch allowed-{which}",
        f"pytest {which} > out-{which}",
    ]
    asked = " ".join(call("Bash", command=one, description="makes a file") for one in commands)
    decides = on_approval if which == "function" else rules
    async with connected(live) as client, session(client, live, approvals=decides) as one:
        denied, allowed, _ = (await one.run(f"? {asked}")).tool_calls
    assert denied.status == "error"
    assert "not that" in (denied.output or "")
    assert made(live, which) == {f"allowed-{which}", f"out-{which}"}
    assert allowed.status == "success"
    # What the policy allows nobody is asked for.
    times = 3 if which == "function" else 2
    assert printed.text.splitlines() == ["Bash () None"] * times


async def test_structured_output(live: dict[str, Any]) -> None:
    printed = Printed()
    found = call("submit_result", file="a.py", line=3, why="It divides by zero.")
    async with connected(live) as client, session(client, live) as one:
        places = {"Find the worst bug": f"Find the worst bug {found}"}
        await taken(documented.output, printed, **places)(one)
    assert printed.text == "a.py\n"
