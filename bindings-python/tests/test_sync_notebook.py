"""The blocking package in a notebook, whose kernel runs an event loop all the time."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest
from nbclient import NotebookClient
from nbformat import v4

from letta_app_client.testing import MockServer, script

# The kernel's own dependencies are not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")


def executed(*cells: str, **options: Any) -> list[str]:
    """What the cells of a notebook print."""
    cells = tuple(textwrap.dedent(cell) for cell in cells)
    notebook = v4.new_notebook(cells=[v4.new_code_cell(text) for text in cells])
    NotebookClient(notebook, kernel_name="python3", **options).execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    return "".join(output.text for output in outputs if output.name == "stdout").splitlines()


def test_blocking_and_awaited_calls_in_one_notebook(mock: MockServer) -> None:
    printed = executed(
        f"""
        import asyncio
        from letta_app_client import sync as letta
        import letta_app_client as asynchronous

        assert asyncio.get_running_loop().is_running()
        client = letta.connect({mock.url!r})
        session = client.session(agent_id="a")
        """,
        "print(session.run('?').text)",
        "for chunk in session.stream_text('?'): print(chunk)",
        f"""
        other = await asynchronous.connect({mock.url!r})
        turn = (await other.session(agent_id="b")).send("?")
        print(session.run('?').text, (await turn).text)
        """,
        "client.close(); await other.close()",
    )
    assert printed == ["Hello world", "Hello ", "world", "Hello world Hello world"]


def test_the_stop_button_stops_the_turn_and_the_kernel_goes_on() -> None:
    with MockServer([script.turn(["so far"], hang=True)]) as mock:
        printed = executed(
            f"""
            from letta_app_client import sync as letta
            client = letta.connect({mock.url!r})
            session = client.session(agent_id="a")
            """,
            """
            try:
                session.run("?")
            except KeyboardInterrupt:
                print("stopped")
            """,
            "print(client.sync(runtime=session.runtime).success)",
            "client.close()",
            # After this time the kernel is interrupted, which is what the button does.
            timeout=3,
            interrupt_on_timeout=True,
        )
        assert printed == ["stopped", "True"]
        assert mock.wait_received("abort_message")
