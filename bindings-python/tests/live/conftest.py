"""Starts the real server once for all live tests; see tests/live/README.md of the repository."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HARNESS = Path(__file__).parents[3] / "tests" / "live" / "harness.mjs"


@pytest.fixture(scope="session")
def live() -> Iterator[dict[str, Any]]:
    """What the harness says about the server: ``url``, ``model``, ``cwd`` …"""
    with subprocess.Popen(
        ["node", str(HARNESS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as harness:
        assert harness.stdin is not None
        assert harness.stdout is not None
        line = harness.stdout.readline()
        if not line:
            pytest.fail("the server did not start; its own words are above")
        yield json.loads(line)
        harness.stdin.close()
        # Its output ends when everything is removed.
        harness.stdout.read()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.live)
