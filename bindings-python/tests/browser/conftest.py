"""Starts JupyterLab, the browser and the real server once for all of these tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.conftest import live

if TYPE_CHECKING:
    from tests.browser.lab import Lab

__all__ = ["live"]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    from tests.browser.lab import lab as started  # noqa: PLC0415 - its packages may be missing

    with started(tmp_path_factory.mktemp("lab")) as running:
        yield running


def pytest_exception_interact(node: pytest.Item) -> None:
    """Keeps a picture of what the browser shows when a test fails."""
    folder, running = os.environ.get("LETTA_SCREENSHOTS"), getattr(node, "funcargs", {}).get("lab")
    if folder and running is not None:
        running.driver.save_screenshot(str(Path(folder) / f"failed-{node.name}.png"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
