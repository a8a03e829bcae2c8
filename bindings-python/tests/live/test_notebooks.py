"""The example notebooks against the real server: what they put out is what is saved in them."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from nbclient import NotebookClient

from tests.test_notebooks import notebooks, read, words

pytestmark = [pytest.mark.timeout(180), pytest.mark.filterwarnings("default")]

CHANGES = (
    (r"agent-local-[0-9a-f-]+", "AGENT"),
    (r"local-conv-\d+", "CONVERSATION"),
    (r"\d+\.\d+ s\b", "SECONDS"),
    (r"[0-9a-f]{8}-[0-9a-f-]{27}|call_\w+", "ID"),
    (r"ws://127\.0\.0\.1:\d+", "URL"),
    (r"/\S*/tmp\w+", "FOLDER"),
    # Whether the standby had heard of the turn when its first connection was cut.
    (r"the connection was lost; the turn goes on with a new one", ""),
    (r"\s+", " "),
)
"""What is another each time."""


def lasting(cells: Any) -> list[str]:
    texts = []
    for cell in cells:
        shown = [one for one in cell.get("outputs", ()) if one.get("name") != "stderr"]
        text = words(shown)
        for pattern, word in CHANGES:
            text = re.sub(pattern, word, text)
        # The bar of many prompts tells times.
        texts.append("BAR" if "prompt/s" in text or "|" in text else text)
    return texts


def test_what_is_saved_is_what_happens(
    live: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETTA_URL", live["url"])
    monkeypatch.setenv("LETTA_MODEL", live["model"])

    async def executed(name: str) -> Any:
        notebook = read(name)
        await NotebookClient(notebook, timeout=90, kernel_name="python3").async_execute()
        return notebook

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(executed(name) for name in notebooks()))

    for name, notebook in zip(notebooks(), asyncio.run(all_of_them()), strict=True):
        assert lasting(notebook.cells) == lasting(read(name).cells), name
