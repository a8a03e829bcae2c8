"""Every block of Python in the READMEs is run as it stands there, against the server double."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest

import letta_app_client as letta
from letta_app_client.testing import MockServer, script
from tests.helpers import message, start
from tests.kernel import Kernel
from tests.readme import FILES, Printed, blocks, headings, run

pytestmark = pytest.mark.anyio


@pytest.fixture
def printed() -> Printed:
    return Printed()


async def names(client: letta.AppServerClient, printed: Printed, **more: Any) -> dict[str, Any]:
    """What the blocks take for granted."""
    return {
        "letta": letta,
        "client": client,
        "print": printed,
        "agent_id": "agent-1",
        "runtime": await start(client),
        "payload": message(),
        **more,
    }


@pytest.mark.parametrize(("file", "heading"), [("package", "Quick start"), ("project", "Python")])
def test_quick_start(file: str, heading: str) -> None:
    code = blocks(file, heading)[0]
    with MockServer([script.turn(text="42")]) as mock:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**os.environ, "LETTA_URL": mock.url},
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("end_turn '42' 12\n", "")


async def test_a_conversation(printed: Printed) -> None:
    (code,) = blocks("package", "A conversation")
    answers = {"conversation_fork": {"conversation": {"id": "conv-2"}}}
    with MockServer([script.turn(["4", "2"])], answers=answers) as mock:
        async with letta.connect(mock.url, settle_pause=0) as client:
            space = await names(client, printed)
            await run(code, space)
    assert printed.text == "42"
    assert space["result"].text == "42"
    assert space["copy"].conversation_id == "conv-2"


async def test_an_object_as_the_answer(printed: Printed) -> None:
    (code,) = blocks("package", "An object as the answer")
    found = {"file": "a.py", "line": 3, "why": "It divides by zero."}
    with MockServer([script.turn(tool_calls=[script.call("submit_result", found)])]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a")
            await run(code, await names(client, printed, session=session, dataclass=dataclass))
    assert printed.text == "a.py 3\n"


async def test_many_at_once(printed: Printed) -> None:
    (code,) = blocks("package", "Many at once")
    with MockServer([script.turn("42")]) as mock:
        async with letta.connect(mock.url) as client:
            await run(code, await names(client, printed, prompts=["a", "b"]))
    assert printed.text == "a -> 42\nb -> 42\n24\n"


async def test_turns_that_were_sent_already(printed: Printed) -> None:
    (code,) = blocks("package", "Turns that were sent already")
    with MockServer([script.turn("42")]) as mock:
        async with letta.connect(mock.url) as client:
            sessions = [await client.session(agent_id=agent) for agent in ("a", "b")]
            both = {"session": sessions[0], "other": sessions[1]}
            await run(code, await names(client, printed, **both))
    assert printed.text == "Check the tests. -> 42\nCheck the docs. -> 42\n"


@pytest.fixture
def letta_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program ``letta`` that does what is needed here of ``letta server``."""
    program = tmp_path / "letta"
    program.write_text(f"#!{sys.executable}\n" + OWN_SERVER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script of a shell")
@pytest.mark.usefixtures("letta_program")
def test_without_an_event_loop(printed: Printed) -> None:
    (code,) = blocks("package", "Without an event loop")
    space: dict[str, Any] = {"print": printed}
    exec(compile(code, "README.md", "exec", dont_inherit=True), space)  # noqa: S102
    assert "AssistantDelta" in printed.text
    assert printed.text.endswith("\nHello world\n")


async def test_when_the_connection_is_lost(printed: Printed) -> None:
    code, asked = blocks("package", "When the connection is lost")
    with MockServer([script.turn(lose_input=True)]) as mock:
        space: dict[str, Any] = {"letta": letta, "print": printed, "url": mock.url}
        await run(code, space)
        client = space["client"]
        again = anyio.Event()
        client.on_state(lambda state, _: again.set() if state == "open" else None)
        mock.cut_connections()
        with anyio.fail_after(20):
            await again.wait()
        assert "reconnecting" in printed.text
        assert client.stats.reconnects == 1
        space["session"] = await client.session(agent_id="agent-123")
        await run(asked, space)
        assert printed.text.endswith("The connection was lost on the way: resent\n")
        await client.close()


async def test_a_connection_in_reserve(printed: Printed) -> None:
    (code,) = blocks("package", "A connection in reserve")
    with MockServer([]) as mock:
        space: dict[str, Any] = {"letta": letta, "print": printed, "url": mock.url}
        await run(code, space)
        assert printed.text in {"opening\n", "ready\n"}
        client = space["client"]
        with anyio.fail_after(10):
            while client.stats.standby != "ready":
                await anyio.lowlevel.checkpoint()
        assert mock.connections == 2
        await client.close()


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script of a shell")
@pytest.mark.usefixtures("letta_program")
def test_three_lines(printed: Printed) -> None:
    (_, code) = blocks("project", "Python")
    exec(compile(code, "README.md", "exec", dont_inherit=True), {"print": printed})  # noqa: S102
    assert printed.text == "Hello world\n"


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script of a shell")
@pytest.mark.usefixtures("letta_program")
async def test_a_server_of_your_own(printed: Printed, tmp_path: Path) -> None:
    (code,) = blocks("package", "A server of your own")
    space: dict[str, Any] = {"letta": letta, "print": printed}
    await run(code, space)
    assert space["client"].state == "closed"
    assert (tmp_path / "started").read_text().startswith("server --listen ws://127.0.0.1:0")


OWN_SERVER = """
import sys, threading
from pathlib import Path
from letta_app_client.testing import MockServer
with MockServer() as mock:
    Path(__file__).with_name("started").write_text(" ".join(sys.argv[1:]))
    print("Listening on", mock.url, flush=True)
    threading.Event().wait()
"""


@pytest.mark.filterwarnings("default")
def test_in_a_notebook(notebook: Kernel) -> None:
    (code,) = blocks("package", "In a notebook")
    with MockServer() as mock:
        notebook.run(
            f"""
            import letta_app_client as letta
            client = await letta.connect({mock.url!r})
            session = await client.session(agent_id="a")
            """
        )
        cell = notebook.run(code)
        notebook.run("await turn; await client.close()")
        assert "Hello world" in cell.shown()[0]


async def test_options_as_one_value() -> None:
    (code,) = blocks("package", "Options as one value")
    with MockServer(token="secret") as mock:
        url = "ws://127.0.0.1:4500"
        assert url in code
        space: dict[str, Any] = {"letta": letta}
        await run(code.replace(url, mock.url), space)
        assert mock.connections == 1
    assert space["options"].request_timeout == 60


async def test_a_turn_while_it_runs(printed: Printed) -> None:
    (code,) = blocks("package", "A turn while it runs")
    with MockServer([script.turn(["4", "2"], tool_calls=[("Read", {})])]) as mock:
        async with letta.connect(mock.url) as client:
            space = await names(client, printed)
            await run(code, space)
    assert printed.text == "-> Read\n42"
    assert space["result"].text == "42"


async def test_permissions(printed: Printed) -> None:
    calls = [
        script.call("Read", needs_approval=True),
        script.call("Bash", {"command": "rm -r x"}, needs_approval=True),
        script.call("Bash", {"command": "pytest tests"}, needs_approval=True),
    ]
    with MockServer([script.turn(tool_calls=calls)]) as mock:
        async with letta.connect(mock.url, settle_pause=0) as client:
            space = await names(client, printed)
            for code in blocks("package", "Permissions"):
                await run(code, space)
                outcomes = [call.status for call in space["result"].tool_calls]
                assert outcomes == ["success", "error", "success"]
    assert [entry.by for entry in space["audit"]] == [
        "allow('Glob', 'Grep', 'Read')",
        "ask(decide)",
        r"allow('Bash', command='^(pytest|ruff) [\\w./-]*\\Z')",
    ]


async def test_tools_from_functions(printed: Printed) -> None:
    ran: list[tuple[str, int]] = []

    def select(sql: str, limit: int) -> str:
        ran.append((sql, limit))
        return "3 rows"

    call = script.call("query", {"sql": "select 1"}, needs_approval=True)
    with MockServer([script.turn(tool_calls=[call])]) as mock:
        async with letta.connect(mock.url, settle_pause=0) as client:
            space = await names(client, printed, Annotated=Annotated, run=select)
            first, second = blocks("package", "Tools from functions")
            await run(first, space)
            (used,) = (await space["session"].run("?")).tool_calls
            assert used.output == "3 rows"
            await space["session"].close()
            await run(second, space)
            result = await client.run_turn(
                runtime=space["started"].runtime, payload=message(), allow=["query"]
            )
            assert result.tool_calls[0].output == "3 rows"
    assert ran == [("select 1", 20)] * 2


async def test_every_command_typed(printed: Printed) -> None:
    commands, handler, *_ = blocks("package", "Every command, typed")
    models = {"entries": [{"handle": "x/m"}], "available_handles": ["x/m"]}
    answers = {"agent_create": {"agent": {"id": "agent-2"}}, "list_models": models}
    shown: list[str] = []
    with MockServer(answers=answers) as mock:
        async with letta.connect(mock.url) as client:
            space = await names(client, printed, show=lambda frame, _: shown.append(frame.type))
            await run(commands, space)
            await run(handler, space)
            await client.run_turn(runtime=space["runtime"], payload=message())
            space["off"]()
            await client.run_turn(runtime=space["runtime"], payload=message())
        mock.assert_received("change_device_state", times=1)
    assert printed.text == "['x/m']\n"
    assert shown == ["turn_finished"]


async def test_frames_as_an_iteration(printed: Printed) -> None:
    _, _, code, *_ = blocks("package", "Every command, typed")
    with MockServer([script.turn("42")]) as mock:
        async with letta.connect(mock.url) as client:
            space = await names(client, printed)
            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(run, code, space)
                    await anyio.lowlevel.checkpoint()
                    await client.run_turn(runtime=space["runtime"], payload=message())
                    await printed.called.wait()
                    # It would go on as long as the connection does.
                    await client.close()
    assert "'text': '42'" in printed.text


async def test_a_terminal(printed: Printed) -> None:
    *_, code, _, _ = blocks("package", "Every command, typed")
    with MockServer() as mock:
        async with letta.connect(mock.url) as client:
            space = await names(client, printed)

            async def answer() -> None:
                wait = mock.wait_received
                assert await anyio.to_thread.run_sync(wait, "terminal_spawn")
                (spawn,) = [frame for frame in mock.received if frame.type == "terminal_spawn"]
                place = {"terminal_id": spawn.terminal_id}
                mock.push({"type": "terminal_spawned", "pid": 42, **place})
                assert await anyio.to_thread.run_sync(wait, "terminal_input")
                mock.push({"type": "terminal_output", "data": "ok\r\n", **place})
                mock.push({"type": "terminal_exited", "exitCode": 0, **place})

            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(answer)
                    await run(code, space)
    assert printed.text == "ok\r\n0\n"


async def test_changes_of_a_file(printed: Printed) -> None:
    *_, code, _ = blocks("package", "Every command, typed")
    with MockServer() as mock:
        async with letta.connect(mock.url) as client:
            space = await names(client, printed)
            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(run, code, space)
                    assert await anyio.to_thread.run_sync(mock.wait_received, "watch_file")
                    path = "/project/notes.md"
                    mock.push({"type": "file_changed", "path": path, "lastModified": 1.5})
                    await printed.called.wait()
                    await client.close()
    assert printed.text == "1.5\n"


async def test_lists_page_by_page(printed: Printed) -> None:
    *_, code = blocks("package", "Every command, typed")
    answers = {
        "conversation_messages_list": {"messages": [{"id": "m1"}], "has_more": False},
        "cron_runs": {"page": {"entries": [{"id": "r1"}], "hasMore": False, "nextOffset": None}},
        "agent_list": {"agents": [{"id": "agent-1"}]},
    }
    with MockServer(answers=answers) as mock:
        async with letta.connect(mock.url) as client:
            space = await names(client, printed, conversation_id="conv-1", task_id="task-1")
            await run(code, space)
    assert space["message"]["id"] == "m1"
    assert space["agent"]["id"] == "agent-1"
    assert space["run"]["id"] == "r1"


async def test_logging() -> None:
    (code,) = blocks("package", "Logging")
    logger = logging.getLogger("letta_app_client")
    before = logger.level
    try:
        await run(code, {})
        assert logger.isEnabledFor(logging.INFO)
        assert not logger.isEnabledFor(logging.DEBUG)
    finally:
        logger.setLevel(before)


async def test_testing_your_own_programs() -> None:
    (code,) = blocks("package", "Testing your own programs")
    space: dict[str, Any] = {"letta": letta}
    await run(code, space)
    await space["test_the_answer"]()


@pytest.mark.parametrize("file", FILES)
def test_every_heading_with_code_has_a_test(file: str) -> None:
    elsewhere = {"Python"}  # with the quick start
    for heading in headings(file):
        name = re.sub(r"\W+", "_", heading.lower())
        assert heading in elsewhere or f"test_{name}" in globals(), heading
