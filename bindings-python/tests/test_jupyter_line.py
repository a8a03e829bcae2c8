"""Permissions in the line for input: what is typed counts for what it was typed for."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from letta_app_client.testing import MockServer, script
from tests.frontend import FrontEnd, front_end

# The kernel's own dependencies are not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")

QUIET = 1.0
"""Seconds in which a question that were to come would have."""


@pytest.fixture(scope="module")
def front() -> Iterator[FrontEnd]:
    """A front end that never makes a subshell, for nothing is clicked."""
    with front_end() as one:
        made = one.run(
            "import time, letta_app_client as letta\n"
            "from letta_app_client import sync\n"
            "from letta_app_client.jupyter import _front, _inputline, _question, _stdin\n"
            "_question._HEARD, _question._UNSEEN = 0.2, 1.0"
        )
        assert made == ""
        yield one


def asking(name: str) -> MockServer:
    call = script.call(name, {"command": f"use {name}"}, needs_approval=True)
    return MockServer([script.turn("Done.", tool_calls=[call])])


def begun(front: FrontEnd, mock: MockServer, name: str = "session") -> None:
    front.run(
        f"{name} = sync.connect({mock.url!r}).session(agent_id='a', mode='standard',"
        " approvals=letta.jupyter.ask)"
    )


def behaviors(mock: MockServer) -> list[object]:
    inputs = [one.raw["payload"] for one in mock.received if one.type == "input"]
    return [one["decision"]["behavior"] for one in inputs if one["kind"] == "approval_response"]


def test_an_answer_to_the_programs_own_question_allows_nothing(front: FrontEnd) -> None:
    with asking("Bash") as mock:
        front.run(
            f"client = await letta.connect({mock.url!r})\n"
            "waiting = await client.session(agent_id='a', mode='standard')\n"
            "turn = waiting.send('?', approvals=letta.jupyter.ask); turn.display()"
        )
        assert mock.wait_received("input")
        cell = front.begin("print('got', input('Delete? '))")
        own = front.prompt("Delete?")
        assert not front.has_prompt(QUIET)
        front.answer(own, "y")
        assert front.end(cell) == "got y"
        assert behaviors(mock) == []
        front.run("turn.deny('no')")
        assert front.run("print((await turn).tool_calls[0].output)") == "no"
    front.run("await client.close()")


def test_the_programs_own_question_waits_for_an_open_one(front: FrontEnd) -> None:
    with asking("Bash") as mock:
        begun(front, mock)
        cell = front.begin(
            """
            turn = session.send("?")
            while _stdin.is_free(_front.kernel()): time.sleep(0.01)
            print("got", input("Name? "))
            print(turn.result().status)
            """
        )
        asked = front.prompt("Allow Bash?")
        assert not front.has_prompt(QUIET)
        front.answer(asked, "n not now")
        front.answer(front.prompt("Name?"), "y")
        assert front.end(cell) == "got y\ncompleted"
        assert behaviors(mock) == ["deny"]


def test_the_box_of_a_cell_that_was_stopped_answers_nothing_else(front: FrontEnd) -> None:
    with asking("Read") as first, asking("Bash") as second:
        begun(front, first)
        cell = front.begin("session.run('?')")
        stale = front.prompt("Allow Read")
        front.stop()
        assert "KeyboardInterrupt" in front.end(cell)
        begun(front, second)
        cell = front.begin("print(session.run('?').tool_calls[0].output)")
        asked = front.prompt("Allow Bash")
        front.answer(stale, "y")
        assert not front.has_prompt(QUIET)
        assert behaviors(second) == []
        front.answer(asked, "n no")
        assert front.end(cell) == "no"
        assert behaviors(second) == ["deny"]


def test_two_permissions_are_asked_for_one_after_the_other(front: FrontEnd) -> None:
    with asking("Bash") as first, asking("Write") as second:
        begun(front, first, "one")
        begun(front, second, "two")
        cell = front.begin(
            "a, b = one.send('?'), two.send('?'); print(a.result().status, b.result().status)"
        )
        asked = front.prompt("Allow ")
        assert not front.has_prompt(QUIET)
        wanted = {"Bash": "n no", "Write": "y"}
        for other in (True, False):
            (name,) = [one for one in wanted if one in asked["content"]["prompt"]]
            front.answer(asked, wanted.pop(name))
            if other:
                asked = front.prompt("Allow ")
        assert front.end(cell) == "completed completed"
        assert (behaviors(first), behaviors(second)) == (["deny"], ["allow"])


def test_an_answer_that_does_not_say_what_it_is_for_has_to_repeat_a_word(front: FrontEnd) -> None:
    with asking("Bash") as mock:
        begun(front, mock)
        for repeated in (False, True):
            cell = front.begin("print(session.run('?').status)")
            asked = front.prompt("Allow Bash" if repeated else "Allow Bash? y = allow")
            if not repeated:
                front.answer(asked, "y", named=False)
                asked = front.prompt("does not say which question")
                assert behaviors(mock) == []
            word = asked["content"]["prompt"].partition("? y ")[2].split()[0]
            front.answer(asked, f"y {word}", named=False)
            assert front.end(cell) == "completed"
        assert behaviors(mock) == ["allow", "allow"]
        front.run("_inputline.InputLine._names_nothing = False")


def test_a_front_end_without_widgets_is_asked_while_a_cell_awaits(front: FrontEnd) -> None:
    """The kernel would hear clicks then, and nothing says that nobody can click."""
    with asking("Bash") as mock:
        front.run(
            f"client = await letta.connect({mock.url!r})\n"
            "awaiting = await client.session(agent_id='a', mode='standard')"
        )
        cell = front.begin("print((await awaiting.run('?', approvals=letta.jupyter.ask)).status)")
        front.answer(front.prompt("Allow Bash"), "y")
        assert front.end(cell) == "completed"
        assert behaviors(mock) == ["allow"]
        front.run("await client.close()")


def test_a_front_end_whose_buttons_are_used_is_not_asked_otherwise(front: FrontEnd) -> None:
    with asking("Bash") as mock:
        front.run(
            f"client = await letta.connect({mock.url!r})\n"
            "awaiting = await client.session(agent_id='a', mode='standard')"
        )
        cell = front.begin("print((await awaiting.run('?', approvals=letta.jupyter.ask)).status)")
        front.type("why not", "because", subshell=False)
        assert not front.has_prompt(2 * QUIET)
        front.press("Deny", subshell=False)
        assert front.end(cell) == "completed"
        assert behaviors(mock) == ["deny"]
        front.run("await client.close()")


def test_the_question_has_all_that_is_to_be_allowed(front: FrontEnd) -> None:
    command = "echo hi\nrm -rf ~ " + "x" * 300 + " end"
    call = script.call("Bash", {"command": command}, needs_approval=True)
    with MockServer([script.turn("Done.", tool_calls=[call])]) as mock:
        begun(front, mock)
        cell = front.begin("print(session.run('?').status)")
        asked = front.prompt("Bash wants to run:")
        prompt = asked["content"]["prompt"]
        assert json.dumps(command) in prompt.replace("\n", "")
        assert max(map(len, prompt.split("\n")[:-1])) <= 100
        front.answer(asked, "n no")
        assert front.end(cell) == "completed"


def test_a_message_that_cannot_be_read_decides_nothing(front: FrontEnd) -> None:
    with asking("Bash") as mock:
        begun(front, mock)
        front.send_damaged()  # before it is asked
        cell = front.begin("print(session.run('?').status)")
        asked = front.prompt("Allow Bash")
        front.send_damaged()
        assert not front.has_prompt(QUIET)
        assert behaviors(mock) == []
        front.answer(asked, "y")
        printed = front.end(cell)
        assert "could not be read: Invalid Signature" in printed
        assert printed.endswith("completed")
        assert behaviors(mock) == ["allow"]


def test_what_is_not_understood_is_asked_again(front: FrontEnd) -> None:
    with asking("Bash") as mock:
        begun(front, mock)
        cell = front.begin("print(session.run('?').status)")
        front.answer(front.prompt("Allow Bash"), "perhaps")
        front.answer(front.prompt("not understood. Allow Bash"), 'e {"command": "ls"}')
        assert front.end(cell) == "completed"
        assert behaviors(mock) == ["allow"]


def test_the_next_cell_is_asked_in_its_own_name(front: FrontEnd) -> None:
    """The box of the cell before may be gone; what is typed into it counts all the same."""
    with asking("Bash") as mock:
        begun(front, mock)
        cell = front.begin(
            'turn = session.send("?")\nwhile _stdin.is_free(_front.kernel()): time.sleep(0.01)'
        )
        before = front.prompt("Allow Bash")
        assert front.end(cell) == ""
        cell = front.begin("print('got', input('Name? '), turn.result().status)")
        front.answer(front.prompt("Name?"), "y")
        asked = front.prompt("Allow Bash")
        assert asked["parent_header"]["msg_id"] == cell
        assert before["parent_header"]["msg_id"] != cell
        assert behaviors(mock) == []
        front.answer(before, "n no")
        assert front.end(cell) == "got y completed"
        assert behaviors(mock) == ["deny"]
