"""What `%%letta` keeps of a turn, which functions it gives it, and what `%letta connect` closes."""

from __future__ import annotations

import pytest

from letta_app_client.testing import MockServer, script
from tests.kernel import Kernel

# The kernel's own dependencies are not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")

NEW = "def price(item: str) -> str:\n    return 'new'"


@pytest.fixture(scope="module")
def shared(notebook: Kernel) -> Kernel:
    notebook.run("import letta_app_client as letta", "%load_ext letta_app_client")
    return notebook


def connected(shared: Kernel, mock: MockServer) -> None:
    assert shared.run(f"%letta connect {mock.url}").printed == f"connected to {mock.url}"


@pytest.mark.parametrize("options", ["--tools price --into answer", "--into answer"])
def test_a_function_that_was_written_anew_is_the_tool(shared: Kernel, options: str) -> None:
    call = script.call("price", {"item": "x"})
    with MockServer([script.turn("done", tool_calls=[call])]) as mock:
        connected(shared, mock)
        output = "print(answer.tool_calls[0].output)"
        shared.run(NEW.replace("new", "old"), "%%letta --tools price --into answer\n?")
        assert shared.run(output).printed == "old"
        assert shared.run(f"%%letta {options}\n?", output).printed == "old"
        assert shared.run(NEW, f"%%letta {options}\n?", output).printed == "new"
        assert len([one for one in mock.received if one.type == "runtime_start"]) == 2
        assert len({one.runtime.conversation_id for one in mock.received if "runtime" in one}) == 1


def test_a_tool_is_allowed_by_the_name_that_the_model_calls_it_by(shared: Kernel) -> None:
    """Nobody is there to be asked, so what is not allowed is denied."""
    names = ("lookup", "other")
    calls = [script.call(name, {}, needs_approval=True) for name in names]
    with MockServer([script.turn("done", tool_calls=calls)]) as mock:
        connected(shared, mock)
        shared.run(
            "@letta.tool(name='lookup')\ndef other() -> str:\n    return 'found'",
            "%%letta --tools other --into answer\n?",
        )
        told = shared.run("print([one.status for one in answer.tool_calls])").printed
        assert told == "['success', 'error']"


def test_a_function_that_cannot_be_a_tool(shared: Kernel) -> None:
    with MockServer([script.turn("done")]) as mock:
        connected(shared, mock)
        error = shared.run("def g(a: complex): ...", "%%letta --tools g\n?").error
        assert error == "%letta: g cannot be a tool: tool g: a: no JSON Schema for complex"


def test_the_variable_has_what_has_come_of_this_turn(shared: Kernel) -> None:
    turns = [
        script.turn("first"),
        script.turn("late", hang=True),
        script.turn("stopped", hang=True),
        script.turn("no JSON"),
        script.turn('{"a": 1}'),
    ]
    with MockServer(turns) as mock:
        connected(shared, mock)
        state = "print(answer.status, answer.text)"
        assert shared.run("%%letta --into answer\n?", state).printed == "completed first"
        cell = shared.run("%%letta --into answer --timeout 1\n?")
        assert cell.error == "%letta: the turn did not end within 1 s"
        assert shared.run(state).printed == "aborted late"
        cell = shared.interrupted("%%letta --into answer\n?", 1)
        assert cell.error == "%letta: stopped"
        assert shared.run(state).printed == "aborted stopped"
        error = shared.run("%%letta --into answer --json\n?").error
        assert "the answer is not JSON" in error
        assert "; answer holds the result as it is: no JSON" in error
        assert shared.run(state).printed == "completed no JSON"
        shared.run("%%letta --into answer --json\n?")
        assert shared.run("print(answer)").printed == "{'a': 1}"


def test_nothing_is_left_of_an_earlier_turn_where_nothing_is_known(shared: Kernel) -> None:
    with MockServer([script.turn("first")]) as mock:
        connected(shared, mock)
        shared.run("%%letta --into answer\n?")
        mock.close()
        assert shared.run("%%letta --into answer --timeout 1\n?").error.startswith("%letta: ")
        assert shared.run("print(answer)").printed == "None"


def test_a_connection_that_works_is_kept_until_there_is_another(shared: Kernel) -> None:
    with MockServer([script.turn("done")]) as mock, MockServer([script.turn("other")]) as other:
        connected(shared, mock)
        shared.run("%%letta --into answer\n?")
        assert shared.run("%letta connect ws://127.0.0.1:1").error.startswith("%letta: ")
        assert "main: " in shared.run("%letta sessions").printed
        assert shared.run("%%letta --into answer\n?", "print(answer.text)").printed == "done"
        connected(shared, other)
        assert "no conversation yet" in shared.run("%letta sessions").printed
        assert shared.run("%%letta --into answer\n?", "print(answer.text)").printed == "other"
