"""Permissions by buttons and the stop button, in a kernel that a front end speaks to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from letta_app_client.testing import MockServer, script
from tests.frontend import FrontEnd, front_end

# The kernel's own dependencies are not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def front() -> Iterator[FrontEnd]:
    with front_end() as one:
        assert one.run("import letta_app_client as letta\n%load_ext letta_app_client") == ""
        yield one


WRITE = script.call("Write", {"file_path": "a.txt", "content": "x"}, needs_approval=True)
ALWAYS = "Always: Yes, allow Write operations during this session"


def decisions(mock: MockServer) -> list[dict[str, object]]:
    inputs = [one.raw["payload"] for one in mock.received if one.type == "input"]
    return [one["decision"] for one in inputs if one["kind"] == "approval_response"]


@pytest.mark.parametrize("way", ["magic", "awaited"])
def test_always_allow_by_a_click(front: FrontEnd, way: str) -> None:
    with MockServer([script.turn("Done.", tool_calls=[WRITE])]) as mock:
        if way == "magic":
            front.run(f"%letta connect {mock.url}\n%letta use agent-1")
            cell = front.begin("%%letta --into answer\nWrite it.")
        else:
            front.run(
                f"client = await letta.connect({mock.url!r})\n"
                "session = await client.session(agent_id='agent-1', mode='standard')"
            )
            ask = "approvals=letta.jupyter.ask"
            cell = front.begin(f"answer = await session.run('Write it.', {ask})")
        front.press(ALWAYS)
        assert front.end(cell) == ""
        assert front.run("print(answer.text, answer.tool_calls[0].status)") == "Done. success"
        (decision,) = decisions(mock)
        assert decision["behavior"] == "allow"
        assert decision["selected_permission_suggestion_ids"] == ["save-default"]
    assert front.buttons() == []
    front.run("%letta disconnect")


@pytest.mark.parametrize(("press", "told"), [("Allow", "42"), ("Deny", "the user denied it: no")])
def test_code_of_an_agent_runs_when_a_person_presses_the_button(
    front: FrontEnd, press: str, told: str
) -> None:
    """The session's mode asks nobody; `run_cell` does all the same."""
    code = {"code": "count = count + 1\nprint(count)"}
    with MockServer([script.turn("Done.", tool_calls=[script.call("run_cell", code)])]) as mock:
        front.run(
            f"client = await letta.connect({mock.url!r})\n"
            "tools = [letta.jupyter.run_cell]\n"
            "session = await client.session(agent_id='a', mode='unrestricted', tools=tools)\n"
            "count = 41"
        )
        cell = front.begin("answer = await session.run('Count.')")
        if press == "Deny":
            front.type("why not", "no")
        front.press(press)
        assert front.end(cell) == ""
        assert told in front.run("print(answer.tool_calls[0].output)")
        assert front.run("print(count)") == ("42" if press == "Allow" else "41")
    # A person who denies has not broken the tool: no cell shows how it failed.
    assert [one for one in front.printed.values() if "Traceback" in one] == []
    front.run("await client.close()")


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("magic", "%letta: stopped"),
        ("awaited", "CancelledError"),
        ("blocking", "KeyboardInterrupt"),
    ],
)
def test_an_interrupt_by_message_stops_the_turn(front: FrontEnd, way: str, said: str) -> None:
    """Kernels whose spec says `interrupt_mode: message` get no signal from the front end."""
    with MockServer([script.turn(["so far"], hang=True)]) as mock:
        if way == "magic":
            front.run(f"%letta connect {mock.url}\n%letta use agent-1")
            cell = front.begin("%%letta\nWork.")
        elif way == "awaited":
            front.run(
                f"client = await letta.connect({mock.url!r})\n"
                "session = await client.session(agent_id='agent-1')"
            )
            cell = front.begin("await session.run('Work.')")
        else:
            front.run(
                "from letta_app_client import sync\n"
                f"other = sync.connect({mock.url!r}); session = other.session(agent_id='agent-1')"
            )
            cell = front.begin("session.run('Work.')")
        assert mock.wait_received("input")
        front.stop()
        ended = front.end(cell)
        # At once, which may be before the cell has begun to wait.
        assert said in ended
        assert mock.wait_received("abort_message"), ended
        assert front.run("print('usable')") == "usable"


PLAIN = {"text/plain", "text/html", "text/markdown"}
VIEW = "application/vnd.jupyter.widget-view+json"
HINT = "turn.approve() or turn.deny('why not') in another cell answers it"


def test_a_front_end_that_has_no_widgets_finds_text_and_the_way_to_answer(front: FrontEnd) -> None:
    """It shows an output by those of its MIME types that it knows."""
    with MockServer([script.turn("Done.", tool_calls=[WRITE])]) as mock:
        front.run(
            f"client = await letta.connect({mock.url!r})\n"
            "session = await client.session(agent_id='a', mode='standard')"
        )
        cell = front.begin("turn = session.send('?', approvals=letta.jupyter.ask); turn.display()")
        front.end(cell)
        asked = front.until_shown(cell, HINT)
        assert "a.txt" in asked["text/plain"]
        assert set(asked) == {"text/plain", VIEW}
        front.run("turn.approve()")
        assert front.run("print((await turn).text)") == "Done."
        front.until_shown(cell, "Write: is no longer needed")
    assert all(set(shown) <= PLAIN for shown in front.outputs[cell]), "what is saved"
    front.run("await client.close()")


def test_without_ipywidgets_nothing_but_plain_mime_types_is_shown(front: FrontEnd) -> None:
    with MockServer([script.turn("Done.", tool_calls=[WRITE])]) as mock:
        front.run(
            "from letta_app_client.jupyter import _front\n"
            "has, _front.has_widgets = _front.has_widgets, lambda: False\n"
            f"client = await letta.connect({mock.url!r})\n"
            "session = await client.session(agent_id='a', mode='standard')"
        )
        cell = front.begin("turn = session.send('?', approvals=letta.jupyter.ask); turn.display()")
        front.end(cell)
        asked = front.until_shown(cell, HINT)
        assert set(asked) <= PLAIN
        assert "a.txt" in asked["text/html"]
        front.run("turn.deny('not now')")
        assert front.run("print((await turn).tool_calls[0].output)") == "not now"
    assert front.buttons() == []
    assert all(set(shown) <= PLAIN for shown in front.outputs[cell])
    front.run("_front.has_widgets = has; await client.close()")
