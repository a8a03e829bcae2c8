"""The notebooks in ``examples/notebooks``, cell by cell, against the server double."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from letta_app_client.testing import MockServer, script
from tests.kernel import Kernel

pytestmark = pytest.mark.filterwarnings("default")

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "notebooks"

WRITES = {"file_path": "hello.py", "content": "print(1)"}
QUERY = {"sql_or_expr": "SELECT max(ms) AS slowest FROM requests"}
TURNS: dict[str, list[dict[str, Any]]] = {
    "quickstart": [script.turn(["All ", "pass."], reasoning=["hm"]), script.turn("Fast.")],
    "analyse_a_frame": [
        script.turn(
            "The search.",
            tool_calls=[
                script.call("variables"),
                script.call("dataframe_query", QUERY),
                script.call("slowest", {"count": 1}),
            ],
        )
    ],
    "approve_edits": [
        script.turn("Done.", tool_calls=[script.call("Write", WRITES, needs_approval=True)])
    ],
    "many_prompts": [script.turn("It is a planet.")],
    "lost_connection": [
        script.turn("Yes."),
        script.turn("Still here."),
        script.turn([f"{number} " for number in range(20)], spread_ms=1000),
    ],
}
SHOWN = {
    "quickstart": ["All pass.", "completed 12", "Fast.", "main: completed"],
    "analyse_a_frame": ["slowest\n1200\n", "('slowest', 'success')"],
    "approve_edits": ["ApprovalRequest('Write'", "'completed'", "one file is enough"],
    "many_prompts": ["It is a planet.", "Jupiter", "completed      6"],
    "lost_connection": ["Still here. sent", "'reconnecting'", "completed 20\n"],
}


def notebooks() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]


def words(outputs: Any) -> str:
    """What is to be read in outputs."""
    texts = [one.get("text") or one.get("data", {}).get("text/plain", "") for one in outputs]
    return "\n".join(texts)


def test_there_is_a_script_for_each() -> None:
    assert notebooks() == sorted(TURNS)


@pytest.mark.parametrize("name", sorted(TURNS))
def test_it_runs(name: str, notebook: Kernel) -> None:
    with MockServer(TURNS[name]) as mock:
        notebook.run(
            "%reset -f",
            f"import os; os.environ.update(LETTA_URL={mock.url!r}, LETTA_MODEL='test/model')",
        )
        outputs = []
        for node in read(name).cells:
            if node.cell_type == "code":
                cell = notebook.run(node.source)
                assert cell.error == "", node.source
                outputs += cell.node.outputs
        assert mock.unexpected == []
    for shown in SHOWN[name]:
        assert shown in words(outputs)


@pytest.mark.parametrize("name", sorted(TURNS))
def test_it_is_saved_with_its_outputs(name: str) -> None:
    cells = [cell for cell in read(name).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert any(cell.outputs for cell in cells)
    assert "Traceback" not in json.dumps(cells)
