"""Turns and agents in a notebook: one kernel for all of these tests."""

from __future__ import annotations

import pytest

from letta_app_client.testing import MockServer, script
from tests.kernel import Kernel

# The kernel's own dependencies are not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def shared(notebook: Kernel) -> Kernel:
    notebook.run("import asyncio, time, letta_app_client as letta", "%load_ext letta_app_client")
    return notebook


def awaited(shared: Kernel, mock: MockServer, **options: str) -> None:
    """Opens ``session`` in the kernel."""
    given = ", ".join(f"{name}={value}" for name, value in options.items())
    cell = shared.run(
        f"""
        client = await letta.connect({mock.url!r})
        session = await client.session(agent_id="a", {given})
        """
    )
    assert cell.error == ""


def connected(shared: Kernel, mock: MockServer) -> None:
    assert shared.run(f"%letta connect {mock.url}").printed == f"connected to {mock.url}"


def test_a_turn_is_one_output_that_ends_as_it_was(shared: Kernel) -> None:
    call = script.call("Edit", {"file_path": "a.py", "old_string": "x", "new_string": "y"})
    with MockServer([script.turn(["**Bo", "ld**"], reasoning=["hm"], tool_calls=[call])]) as mock:
        awaited(shared, mock)
        cell = shared.run('turn = session.send("?")', "turn.display()")
        shared.run("await turn")
        (html,) = cell.shown("text/html")
        (plain,) = cell.shown("text/plain")
        (markdown,) = cell.shown("text/markdown")
        assert "<strong>Bold</strong>" in html
        assert "<summary>reasoning</summary>" in html
        assert "✓ <b>Edit</b> <code>a.py</code>: success" in html
        assert "- x</span>" in html
        assert "+ y</span>" in html
        words = "completed in 0"
        assert words in html
        assert "24 tokens · end_turn" in html
        assert plain.splitlines()[:3] == ["[Edit: success, ok]", "(hm)", "**Bold**"]
        assert "> hm\n\n**Bold**\n\n*completed in" in markdown


def test_outputs_stay_in_their_cells_when_turns_run_at_once(shared: Kernel) -> None:
    turns = [script.turn([f"{name}{n} " for n in range(20)], spread_ms=800) for name in "ab"]
    with MockServer(turns) as mock:
        awaited(shared, mock)
        first = shared.run(
            """
            other = await client.session(agent_id="b")
            one = session.send("?"); one.display()
            while one.status != "running": await asyncio.sleep(0.01)
            """
        )
        second = shared.run('two = other.send("?"); two.display()')
        third = shared.run("print((await one).status, (await two).status)")
        assert third.printed == "completed completed"
        for cell, mine, theirs in ((first, "a", "b"), (second, "b", "a")):
            (text,) = cell.shown()
            assert text.splitlines()[0].split() == [f"{mine}{n}" for n in range(20)]
            assert f"{theirs}0" not in text
        assert third.shown() == []


def test_the_output_goes_on_while_a_cell_computes(shared: Kernel) -> None:
    with MockServer([script.turn([f"w{n} " for n in range(30)], spread_ms=600)]) as mock:
        awaited(shared, mock)
        cell = shared.run('turn = session.send("?"); turn.display()')
        shared.run(
            """
            end = time.monotonic() + 1.2
            while time.monotonic() < end: sum(range(1000))
            """
        )
        # Nobody has waited for it, and the loop has had no chance to.
        assert "w29" in cell.shown()[0]
        shared.run("result = await turn")
        assert "completed in" in cell.shown()[0]
        assert shared.run("print(len(result.text.split()), result.delivery)").printed == "30 sent"


def test_updates_are_ten_a_second_at_most_and_none_is_the_same(shared: Kernel) -> None:
    with MockServer([script.turn(["word "] * 200, spread_ms=1000)]) as mock:
        awaited(shared, mock)
        counted = shared.run(
            """
            publish, sent = get_ipython().display_pub.publish, []
            def note(data, **more):
                sent.append((time.monotonic(), data["text/plain"]))
                publish(data=data, **more)
            get_ipython().display_pub.publish = note
            turn = session.send("?"); turn.display(); await turn
            get_ipython().display_pub.publish = publish
            gaps = [b[0] - a[0] for a, b in zip(sent, sent[1:])]
            print(len(sent), min(gaps[1:-1]) > 0.09, len(set(one[1] for one in sent)) == len(sent))
            """
        )
        number, slow, different = counted.printed.split()
        assert 4 <= int(number) <= 14
        assert (slow, different) == ("True", "True")


def test_results_turns_sessions_and_histories_as_values(shared: Kernel) -> None:
    with MockServer([script.turn("<b>*hi*</b>")]) as mock:
        awaited(shared, mock)
        values = {
            "await session.run('?')": "&lt;b&gt;<em>hi</em>&lt;/b&gt;",
            "turn = session.send('?'); await turn; turn": "&lt;b&gt;<em>hi</em>&lt;/b&gt;",
            "session": "<td><b>agent</b></td><td>a</td>",
            "await session.history(2)": "<b>assistant</b>",
            "await letta.map(client, ['p', 'q'], agents='a')": "<td><b>p</b></td>",
        }
        for source, words in values.items():
            cell = shared.run(source)
            assert cell.error == ""
            assert words in cell.shown("text/html")[0], source
            assert cell.shown("text/markdown") != []
        cell = shared.run(
            "letta.to_frame(await letta.map(client, ['p'], agents='a', progress=True))"
        )
        assert "<td>p</td>" in cell.shown("text/html")[-1]


def test_the_blocking_package_has_it_all_as_well(shared: Kernel) -> None:
    with MockServer([script.turn("hello")]) as mock:
        cell = shared.run(
            f"""
            from letta_app_client import sync
            client = sync.connect({mock.url!r})
            blocking = client.session(agent_id="a")
            turn = blocking.send("?")
            turn.display()
            result = turn.result()
            client.close()
            """
        )
        assert "hello" in cell.shown()[0]
        assert "completed in" in cell.shown()[0]
        for name in ("blocking", "turn", "result"):
            assert shared.run(name).shown("text/html") != []


def test_a_cell_that_asks(shared: Kernel) -> None:
    turns = [script.turn("hello"), script.turn('```json\n{"x": [1]}\n```'), script.turn("no json")]
    with MockServer(turns) as mock:
        connected(shared, mock)
        cell = shared.run("%%letta --into answer --agent a\nSay hello.")
        assert "hello" in cell.shown()[0]
        assert shared.run("print(answer.text, answer.status)").printed == "hello completed"
        assert shared.run("%%letta --json --quiet\nAs JSON.").shown() == ["{'x': [1]}"]
        assert "the answer is not JSON" in shared.run("%%letta --json --quiet\nAgain.").error
        sessions = shared.run("%letta sessions").printed
        assert sessions.startswith("main: a, ")
        shared.run("%%letta --session other --mode acceptEdits --quiet\n?")
        assert "other: a, " in shared.run("%letta sessions").printed
        assert "mode acceptEdits" in shared.run("%letta sessions").printed
        status = shared.run("%letta status").printed
        assert "other: completed" in status
        assert shared.run("%letta abort").printed == "nothing runs"
        assert "main: a-2, " in shared.run("%letta use a-2").printed
        modes = [frame.mode for frame in mock.received if frame.type == "runtime_start"]
        assert modes == ["standard", "acceptEdits", "standard"]
        assert shared.run("%letta disconnect").printed == "disconnected"


MISTAKES = {
    "%letta conect": "there is no command 'conect'; did you mean connect?",
    "%letta use": "the following arguments are required: agent",
    "%letta abort nobody": "there is no session 'nobody'",
    "%letta connect --spwan x": "has no option --spwan",
    "%letta connect --token-env NONE_SUCH ws://x": "no environment variable NONE_SUCH",
    "%%letta --sesion x\n?": "%%letta has no option --sesion; did you mean --session?",
    "%%letta status\n?": "takes options only, not 'status'; did you mean %letta status?",
    "%%letta --mode fast\n?": "argument --mode: invalid choice: 'fast'",
    "%%letta --timeout soon\n?": "argument --timeout: expected seconds above 0, got 'soon'",
    "%%letta --into 1x\n?": "argument --into: expected the name of a variable, got '1x'",
    "%%letta --tools inspekt\n?": "the notebook has no function inspekt; did you mean inspect?",
    "%%letta 'x\n?": "the line cannot be read: no closing quotation",
    "get_ipython().run_cell_magic('letta', '', '  ')": (
        "nothing to ask: write the prompt below %%letta"
    ),
}


def test_every_mistake_has_a_message_and_no_traceback(shared: Kernel) -> None:
    shared.run("%letta disconnect")
    assert shared.run("%%letta\n?").error == "%letta: not connected; begin with %letta connect"
    assert shared.run("%letta connect ws://127.0.0.1:1").error.startswith("%letta: ")
    with MockServer([script.turn("so far", error="no credits")]) as mock:
        connected(shared, mock)
        for source, words in MISTAKES.items():
            error = shared.run(source).error
            assert words in error, source
            assert error.startswith("%letta: "), source
            assert "Traceback" not in error, source
        cell = shared.run("%%letta --into answer\n?")
        assert cell.error == "%letta: the turn has failed: no credits"
        assert "so far" in cell.shown()[0]
        assert shared.run("print(answer.status)").printed == "failed"
        assert "Stop" in shared.run("%letta help").printed.title()
        assert shared.run("%%letta --help\n?").printed == shared.run("%letta").printed


def test_options_are_completed(shared: Kernel) -> None:
    shared.run("def my_tool(): ...")
    wanted = {
        "%letta con": "connect",
        "%letta connect --tok": "--token-env",
        "%%letta --ses": "--session",
        "%%letta --mode acc": "acceptEdits",
        "%%letta --tools vari": "variables",
        "%%letta --tools variables,my_t": "my_tool",
    }
    for line, word in wanted.items():
        found = shared.run(f"print(get_ipython().Completer.complete(line_buffer={line!r})[1])")
        assert word in found.printed, (line, found.printed, found.error)


def test_the_stop_button(shared: Kernel) -> None:
    with MockServer([script.turn(["so far"], hang=True)]) as mock:
        connected(shared, mock)
        cell = shared.interrupted("%%letta --into answer\n?", 1)
        assert cell.error == "%letta: stopped"
        assert "so far" in cell.shown()[0]
        assert "aborted in" in cell.shown()[0]
        assert mock.wait_received("abort_message")
        assert shared.run("%letta status").error == ""
        awaited(shared, mock)
        cell = shared.interrupted("turn = session.send('?'); turn.display(); await turn", 1)
        assert cell.error != ""
        assert mock.wait_received("abort_message", times=2)
        assert shared.run("print((await turn).status)").printed == "aborted"
        assert "aborted in" in cell.shown()[0]


def test_nobody_is_asked_where_nobody_is(shared: Kernel) -> None:
    call = script.call("Bash", {"command": "ls"}, needs_approval=True)
    with MockServer([script.turn("done", tool_calls=[call])]) as mock:
        connected(shared, mock)
        reason = "nobody is available to decide: a program runs this notebook"
        cell = shared.run("%%letta\n?")
        assert f"[Bash: error, {reason}]" in cell.shown()[0]
        awaited(shared, mock, approvals="letta.jupyter.ask")
        ended = shared.run("print((await session.run('?')).tool_calls[0].output)")
        assert ended.printed == reason


def test_permissions_by_plain_calls(shared: Kernel) -> None:
    calls = [script.call("Bash", {"command": "ls"}, needs_approval=True)] * 2
    with MockServer([script.turn("done", tool_calls=calls)]) as mock:
        awaited(shared, mock, approvals="'wait'")
        cell = shared.run('turn = session.send("?"); turn.display()')
        shared.run("for _ in range(20): await asyncio.sleep(0.02)")
        assert "Bash needs permission: turn.approve() or turn.deny(" in cell.shown()[0]
        shared.run("turn.approve(updated_input={'command': 'pwd'})")
        shared.run("for _ in range(20): await asyncio.sleep(0.02)")
        shared.run("turn.deny('not twice')")
        assert shared.run("print((await turn).text)").printed == "done"
        answers = [
            frame.payload.decision.raw
            for frame in mock.received
            if frame.type == "input" and frame.payload.kind == "approval_response"
        ]
        assert answers == [
            {"behavior": "allow", "updated_input": {"command": "pwd"}},
            {"behavior": "deny", "message": "not twice"},
        ]
        assert "is not waiting for a permission" in shared.run("turn.approve()").error


def results(mock: MockServer) -> list[str]:
    """What external tools have answered."""
    answers = [one.raw for one in mock.received if one.type == "external_tool_call_response"]
    contents = [one["result"]["content"] for one in answers if "result" in one]
    return ["".join(part.get("text", "(image)") for part in content) for content in contents]


def test_the_notebook_as_tools(shared: Kernel) -> None:
    calls = [
        script.call("variables"),
        script.call("inspect", {"name": "limit"}),
        script.call("dataframe_query", {"sql_or_expr": "SELECT sum(a) AS s FROM df"}),
        script.call("dataframe_query", {"sql_or_expr": "df[df.a > 1].a.mean()"}),
        script.call("run_cell", {"code": "limit = 8\nprint(limit)\nlimit * 2"}),
        script.call("draw"),
    ]
    with MockServer([script.turn("done", tool_calls=calls)]) as mock:
        connected(shared, mock)
        shared.run(
            """
            import base64, pandas as pd
            df, limit = pd.DataFrame({"a": [1, 2, 3]}), 7
            def draw() -> bytes:
                "Draws."
                return base64.b64decode("iVBORw0KGgoAAAANSUhEUg==")
            """
        )
        cell = shared.run(
            "%%letta --tools variables,inspect,dataframe_query,run_cell,draw --session tools\n?"
        )
        assert cell.error == ""
        assert cell.printed == ""
        listed, seen, summed, mean, ran, drawn = results(mock)
        assert '"name":"df","type":"DataFrame","shape":[3,1]' in listed
        assert seen == "name limit, type int\n7"
        assert summed == "s\n6\n"
        assert mean == "2.5"
        assert "nobody is available to decide" in ran
        assert drawn == "(image)"
        assert (
            '<img alt="" style="max-width:100%" src="data:image/png;base64,iVBOR'
            in (cell.shown("text/html")[0])
        )
        assert shared.run("print(limit)").printed == "7"
        # Only what was switched on is registered.
        shared.run("%%letta --session few --tools inspect --quiet\n?")
        starts = [one for one in mock.received if one.type == "runtime_start"]
        (group,) = starts[-1].external_tools
        assert [one.name for one in group["tools"]] == ["inspect"]


def test_code_that_runs_unasked_and_is_interrupted_with_its_turn(shared: Kernel) -> None:
    calls = [
        script.call("run_cell", {"code": "made = 1\nprint('out')\n[made]"}),
        script.call("run_cell", {"code": "print('before')\n1/0"}),
        script.call("run_cell", {"code": "import time\nwhile True: time.sleep(0.01)"}),
    ]
    with MockServer([script.turn("done", tool_calls=calls)]) as mock:
        awaited(shared, mock, tools="[letta.jupyter.cell_runner(ask=False)]")
        cell = shared.interrupted("await session.run('?')", 2)
        assert cell.error != ""
        assert results(mock)[:2] == [
            "out\n[1]",
            "before\nZeroDivisionError: division by zero (line 2)",
        ]
        assert shared.run("print(made)").printed == "1"
        left = "[t.name for t in threading.enumerate() if t.name == 'letta-app-client-tool']"
        ended = shared.run(
            f"""
            import threading
            while {left}: await asyncio.sleep(0.02)
            print("ended")
            """
        )
        assert ended.printed == "ended"


def test_unloading_takes_the_magics_away(shared: Kernel) -> None:
    assert shared.run("%unload_ext letta_app_client").error == ""
    assert "not found" in str(shared.run("%letta status").node.outputs)
    assert shared.run("%load_ext letta_app_client").error == ""
