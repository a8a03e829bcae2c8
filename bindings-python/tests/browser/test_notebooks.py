"""What a person sees in JupyterLab and in Notebook 7, in a real browser."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

pytest.importorskip("selenium", reason="`make notebooks-browser` installs what this needs")

from letta_app_client import sync as letta
from letta_app_client.testing import MockServer, script
from tests.browser.lab import eventually
from tests.live.support import call, touch

if TYPE_CHECKING:
    from tests.browser.lab import Lab, Page

pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]

COMPUTE_SECONDS = int(os.environ.get("COMPUTE_SECONDS", "120"))

QUICKSTART = Path(__file__).parents[3] / "examples" / "notebooks" / "quickstart.ipynb"


def magics(live: dict[str, Any]) -> str:
    return (
        f"import os; os.environ['LETTA_MODEL'] = {live['model']!r}\n"
        "%load_ext letta_app_client\n"
        f"%letta connect {live['url']}"
    )


def awaited(live: dict[str, Any]) -> str:
    body = {"name": "notebook", "model": live["model"], "memory_blocks": []}
    return (
        "import asyncio, time\nimport letta_app_client as letta\n"
        f"client = await letta.connect({live['url']!r})\n"
        f"agent = {{'body': {body!r}, 'pin_global': False}}\n"
        f"session = await client.session(create_agent=agent, cwd={live['cwd']!r})"
    )


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_the_answer_grows_in_its_cell_while_others_run(
    lab: Lab, live: dict[str, Any], front_end: str
) -> None:
    page = lab.open(
        f"grows-{front_end}",
        awaited(live),
        "turn = session.send('Tell me. N=60 SLEEP=100 REASON=3')\nturn.display()",
        "await asyncio.sleep(2); print('slept')",
        "time.sleep(2); print('blocked')",
        "print((await turn).status)",
        front_end=front_end,
    )
    for _ in range(5):
        page.run_next()
    seen: set[int] = set()

    def watch() -> bool:
        seen.add(page.text(1).count("tok"))
        return "blocked" in page.text(3)

    eventually(watch, 60)
    page.screenshot("streaming" if front_end == "lab" else "streaming-notebook")
    # It has grown while the others were at work, and is in its own cell alone.
    assert len(seen) >= 10, seen
    assert "tok" not in page.text(2) + page.text(3)
    page.ran(4)
    assert "completed in" in page.text(1)
    saved = page.saved()
    (output,) = saved.cells[1].outputs
    answer = " ".join(f"tok{number}" for number in range(60))
    assert answer in output.data["text/plain"]
    assert answer in output.data["text/html"]
    assert [cell.outputs[0].text for cell in saved.cells[2:5]] == [
        "slept\n",
        "blocked\n",
        "completed\n",
    ]


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_the_quickstart(lab: Lab, live: dict[str, Any], front_end: str) -> None:
    notebook = nbformat.read(QUICKSTART, as_version=4)  # type: ignore[no-untyped-call]
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    known = {"LETTA_URL": live["url"], "LETTA_MODEL": live["model"]}
    before = f"import os; os.environ.update({known!r})"
    page = lab.open(f"quickstart-{front_end}", before, *sources, front_end=front_end)
    for _ in (before, *sources):
        page.run_next()
    page.ran(len(sources), 60)
    page.screenshot(f"quickstart-{front_end}")
    # An empty cell has come after the last one.
    cells = dict(zip(sources, page.saved().cells[1:-1], strict=True))
    failed = [one for cell in cells.values() for one in cell.outputs if one.output_type == "error"]
    assert failed == []
    (sent,) = [at for at, source in enumerate(sources, 1) if "turn.display()" in source]
    (asked,) = [at for at, source in enumerate(sources, 1) if source.startswith("%%letta")]
    for at, number in ((sent, 8), (asked, 4)):
        shown = page.text(at)
        assert " ".join(f"tok{one}" for one in range(number)) in shown
        assert f"tok{number}" not in shown
        assert "completed in" in shown
    assert "disconnected" in page.text(len(sources))


@pytest.mark.parametrize(
    ("way", "front_end"),
    [("magic", "lab"), ("awaited", "lab"), ("silent", "lab"), ("magic", "notebook")],
)
def test_the_stop_button_stops_the_turn(
    lab: Lab, live: dict[str, Any], way: str, front_end: str
) -> None:
    # The server refuses a plain ``sleep``.
    command = "python3 -c 'import time; time.sleep(60)'"
    sleep = f"N=1 {call('Bash', command=command, description='x')}"
    words = repr("N=2000 SLEEP=50" if way == "awaited" else sleep)
    magic = "%%letta --into answer\nN=2000 SLEEP=50"
    ask = f"turn = session.send({words}, allow=['Bash']); turn.display(); await turn"
    page = lab.open(
        f"stop-{way}-{front_end}",
        awaited(live),
        f"{magics(live)}\n"
        "%letta use {session.agent_id} --conversation {session.conversation_id}",
        "print(session.agent_id, session.conversation_id)",
        magic if way == "magic" else ask,
        "print('usable')",
        front_end=front_end,
    )
    for _ in range(4):
        page.run_next()
    page.ran(2)
    agent, conversation = page.text(2).split()
    shown = "Bash runs" if way == "silent" else "tok3"
    eventually(lambda: shown in page.text(3), what="nothing is seen of it")
    page.press_stop()
    pressed = time.monotonic()
    runtime = {"agent_id": agent, "conversation_id": conversation}
    with letta.connect(live["url"]) as client, client.messages("update_loop_status") as statuses:
        client.sync(runtime=runtime, recover_approvals=False)
        while next(statuses).loop_status.status != "WAITING_ON_INPUT":
            pass
    assert time.monotonic() - pressed < 3
    page.ran(3)
    assert time.monotonic() - pressed < 5
    page.run_next()
    page.ran(4)
    assert "usable" in page.text(4)


def asked(page: Page, *, cell: int = 1) -> None:
    page.run_next()
    page.ran(0)
    page.run_next()
    page.button(cell, "Allow")


def test_permissions_by_buttons_while_the_cell_runs(lab: Lab, live: dict[str, Any]) -> None:
    path = Path(live["cwd"])
    page = lab.open(
        "buttons",
        magics(live),
        f"%%letta --into answer\nN=2 {touch('allowed.txt')}",
        f"%%letta --into answer\nN=2 {touch('denied.txt')}",
        f"%%letta --into answer\nN=2 {touch('edited.txt')}",
    )
    asked(page)
    page.screenshot("buttons")
    page.press(1, "Allow")
    page.ran(1)
    assert "success" in page.text(1)
    page.run(2)
    page.button(2, "Deny")
    field = page.cell(2).find_element("css selector", "input[type=text]")
    field.send_keys("not in here")
    page.press(2, "Deny")
    page.ran(2)
    assert "not in here" in page.text(2)
    page.run(3)
    page.button(3, "Deny")
    page.cell(3).find_element("xpath", ".//*[text()='Edit the input']").click()
    area = eventually(
        lambda: next(
            (
                one
                for one in page.cell(3).find_elements("css selector", "textarea")
                if one.is_displayed()
            ),
            None,
        )
    )
    page.driver.execute_script(
        "arguments[0].value = arguments[0].value.replace('edited', 'changed');"
        "arguments[0].dispatchEvent(new Event('input', {bubbles: true}));"
        "arguments[0].dispatchEvent(new Event('change', {bubbles: true}));",
        area,
    )
    page.press(3, "Allow with this input")
    page.ran(3)
    made = {one.name for one in path.iterdir()}
    assert {"allowed.txt", "changed.txt"} <= made
    assert not {"denied.txt", "edited.txt"} & made


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_always_allow_and_code_by_buttons(lab: Lab, front_end: str) -> None:
    write = script.call("Write", {"file_path": "a.txt", "content": "x"}, needs_approval=True)
    code = script.call("run_cell", {"code": "count = count + 1"})
    turns = [script.turn("Written.", tool_calls=[write]), script.turn("Run.", tool_calls=[code])]
    with MockServer(turns) as mock:
        page = lab.open(
            f"always-{front_end}",
            f"%load_ext letta_app_client\n%letta connect {mock.url}\n"
            "%letta use agent-1\ncount = 41",
            "%%letta --into answer\n?",
            "%%letta --tools run_cell\n?",
            "print(count)",
            front_end=front_end,
        )
        page.run(0)
        page.ran(0)
        page.run(1)
        page.press(1, "Always: Yes, allow Write operations during this session")
        page.ran(1)
        assert "Written." in page.text(1)
        assert "allowed, always" in page.text(1)
        page.run(2)
        page.press(2, "Allow")
        page.ran(2)
        page.run(3)
        page.ran(3)
        assert page.text(3).strip() == "42"
    inputs = [one.raw["payload"] for one in mock.received if one.type == "input"]
    written, run = [one["decision"] for one in inputs if one["kind"] == "approval_response"]
    assert written["selected_permission_suggestion_ids"] == ["save-default"]
    # The server asks for the session's own tool too, and whoever gave it has allowed it.
    assert run == {"behavior": "allow"}


def test_permissions_by_the_line_for_input(lab: Lab, live: dict[str, Any]) -> None:
    page = lab.open(
        "input",
        f"{magics(live)}\nfrom letta_app_client.jupyter import _front\n"
        "_front.has_widgets = lambda: False",
        f"%%letta --into answer\nN=2 {touch('typed.txt')}",
        f"%%letta --into answer\nN=2 {touch('refused.txt')}",
    )
    page.run_next()
    page.ran(0)
    for cell, typed, told in ((1, "y", "success"), (2, "n not today", "not today")):
        page.run(cell)
        field = page.line_for_input(cell)
        field.send_keys(f"{typed}\n")
        page.ran(cell)
        assert told in page.text(cell)
    made = {one.name for one in Path(live["cwd"]).iterdir()}
    assert "typed.txt" in made
    assert "refused.txt" not in made


TRAPS = """\
<script>window.trapped = 1</script>

<img src=x onerror="window.trapped = 2"> ![x](javascript:window.trapped=3)

[click](javascript:window.trapped=4) <a href="javascript:window.trapped=5">or here</a>

$\\href{javascript:window.trapped=6}{formula}$ <details ontoggle="window.trapped=7" open>

```html
<script>window.trapped = 8</script>
``` `<img src=y onerror=window.trapped=9>

| a | <svg onload=window.trapped=10>
|--
> - **bold _broken ~~
"""


def test_what_an_agent_writes_is_inert(lab: Lab) -> None:
    trap = script.call("Bash", {"command": TRAPS}, result=TRAPS)
    turn = script.turn([*TRAPS], reasoning=[TRAPS], tool_calls=[trap])
    with MockServer([turn]) as mock:
        page = lab.open(
            "inert",
            "import letta_app_client as letta\n"
            "from IPython.display import Markdown, HTML, display\n"
            f"client = await letta.connect({mock.url!r})\n"
            "session = await client.session(agent_id='a')",
            "turn = session.send('?')\nturn.display()\nresult = await turn",
            "result",
            "display(Markdown(result._repr_markdown_()))",
            "await session.history()",
            "Markdown((await session.history())._repr_markdown_())",
        )
        for _ in range(6):
            page.run_next()
        page.ran(5)
        eventually(lambda: "window.trapped = 1" in page.text(1))
        # Formulas are set, and images loaded, a moment after the text is there.
        eventually(lambda: all("window.trapped" in page.text(at) for at in range(1, 6)))
        time.sleep(1)
        for at in range(1, 6):
            output = page.cell(at).find_element("css selector", ".jp-Cell-outputArea")
            traps = "[onerror]", "[ontoggle]", "[onload]"
            for bad in ("script", "img", "mjx-container", *traps):
                assert output.find_elements("css selector", bad) == [], (at, bad)
            links = output.find_elements("css selector", "a[href]")
            assert [
                one for one in links if "javascript" in str(one.get_attribute("href")).lower()
            ] == []
        assert page.driver.execute_script("return window.trapped") is None


def test_a_cell_that_computes_loses_nothing(lab: Lab, live: dict[str, Any]) -> None:
    tokens = COMPUTE_SECONDS * 8
    page = lab.open(
        "computes",
        awaited(live),
        f"turn = session.send('N={tokens} SLEEP=100')\nturn.display()",
        f"end = time.monotonic() + {COMPUTE_SECONDS}\n"
        "while time.monotonic() < end:\n    sum(range(1000))\nprint('computed')",
        "result = await turn\nprint(len(result.text.split()), result.delivery)",
        f"print((await session.run({call('Bash', command='true')!r})).status)",
    )
    for _ in range(5):
        page.run_next()
    eventually(lambda: "*" in page.prompt(2))
    seen: set[int] = set()

    def watch() -> bool:
        seen.add(page.text(1).count("tok"))
        return "computed" in page.text(2)

    eventually(watch, COMPUTE_SECONDS + 60)
    assert len(seen) > COMPUTE_SECONDS / 4  # it was seen to grow meanwhile
    page.ran(4, 60)
    assert page.text(3).split() == [str(tokens), "sent"]
    assert page.text(4).strip() == "completed"
    assert f"tok{tokens - 1}" in page.text(1)
