"""``turn.display()``: where its output is, and when it ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

import letta_app_client as letta
from letta_app_client.testing import MockServer, script
from tests.frontend import FrontEnd, front_end

# The kernel's own dependencies are not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def front() -> Iterator[FrontEnd]:
    with front_end() as one:
        made = "import time, letta_app_client as letta\nfrom letta_app_client import sync"
        assert one.run(made) == ""
        yield one


def begun(front: FrontEnd, mock: MockServer) -> None:
    front.run(
        f"session = sync.connect({mock.url!r}).session(agent_id='a', mode='standard')\n"
        f"client = await letta.connect({mock.url!r})\n"
        "awaited = await client.session(agent_id='b')"
    )


@pytest.mark.anyio
async def test_without_a_notebook_the_events_are_left_to_others(
    monkeypatch: pytest.MonkeyPatch, mock: MockServer
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    async with letta.connect(mock.url) as client:
        turn = (await client.session(agent_id="a")).send("?")
        with pytest.raises(letta.InvalidOption, match=r"turn\.display\(\): there is no notebook"):
            turn.display()
        events = [event async for event in turn]
        assert isinstance(events[-1], letta.TurnFinished)


def test_a_turn_of_the_blocking_package_ends_though_nobody_waits(front: FrontEnd) -> None:
    with MockServer([script.turn(["a ", "b"], spread_ms=200)]) as mock:
        begun(front, mock)
        cell = front.begin("turn = session.send('?'); turn.display()")
        front.end(cell)
        front.until_shown(cell, "a b\ncompleted in")


def test_it_can_be_shown_again(front: FrontEnd) -> None:
    with MockServer([script.turn(["a ", "b"], spread_ms=200)]) as mock:
        begun(front, mock)
        cell = front.begin("turn = awaited.send('?'); turn.display(); turn.display()")
        front.end(cell)
        later = front.begin("result = await turn; turn.display()")
        assert front.end(later) == ""
        front.until_shown(cell, "completed in")
        shown = [one["text/plain"] for one in (*front.outputs[cell], *front.outputs[later])]
        assert len(shown) == 3
        assert len(set(shown)) == 1
        told = front.run("async for event in turn: pass")
        assert "the output of display() is already reading the events of this turn" in told


WAYS = {
    "session": "%%capture kept\nresult = turn.result()",
    "awaited": "from IPython.utils.capture import capture_output\n"
    "with capture_output() as kept: result = await turn",
}


@pytest.mark.parametrize("name", WAYS)
def test_a_cell_that_captures_its_outputs_does_not_take_it(front: FrontEnd, name: str) -> None:
    with MockServer([script.turn(["a ", "b"], spread_ms=300)]) as mock:
        begun(front, mock)
        cell = front.begin(f"turn = {name}.send('?'); turn.display()")
        front.end(cell)
        assert front.run(WAYS[name]) == ""
        front.until_shown(cell, "a b\ncompleted in")
        assert front.run("print(len(kept.outputs))") == "0"


def test_shown_first_in_a_capture_it_goes_on_where_it_is_shown_again(front: FrontEnd) -> None:
    with MockServer([script.turn(["a ", "b"], spread_ms=600)]) as mock:
        begun(front, mock)
        front.run("%%capture kept\nturn = session.send('?'); turn.display()")
        cell = front.begin("turn.display()")
        front.end(cell)
        front.until_shown(cell, "a b\ncompleted in")


def test_a_question_is_seen_while_a_cell_captures_its_outputs(front: FrontEnd) -> None:
    call = script.call("Bash", {"command": "ls"}, needs_approval=True)
    with MockServer([script.turn("Done.", tool_calls=[call])]) as mock:
        begun(front, mock)
        cell = front.begin("%%capture kept\nsession.run('?', approvals=letta.jupyter.ask)")
        front.answer(front.prompt("Allow Bash"), "y")
        assert front.end(cell) == ""
        assert "Bash: allowed" in front.outputs[cell][0]["text/plain"]
