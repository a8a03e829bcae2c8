"""The cells of ``docs/notebooks.md``, in their order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from letta_app_client.testing import MockServer, script
from tests.kernel import Kernel

pytestmark = pytest.mark.filterwarnings("default")

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "notebooks.md").read_text(encoding="utf-8")


def test_every_cell_runs(notebook: Kernel) -> None:
    cells = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    asks = script.call("Bash", {"command": "ls"}, needs_approval=True)
    with MockServer([script.turn("All pass.", tool_calls=[asks])]) as mock:
        notebook.run("%reset -f", f"URL = {mock.url!r}")
        run = []
        for source in cells:
            cell = notebook.run(source)
            assert cell.error == "", source
            run.append(cell)
        notebook.run("%letta disconnect", "await client.close()")
        assert mock.unexpected == []
    # Outputs of turns are updated after their cell.
    shown = ["\n".join([cell.printed, *cell.shown()]) for cell in run]
    assert sum("All pass." in one for one in shown) == 8
    assert "ApprovalRequest('Bash', {'command': 'ls'}" in shown[8]
    assert shown[9].strip() == "'completed'"


def test_its_pictures_and_examples_are_there() -> None:
    for path in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (DOCS / path).exists(), path
