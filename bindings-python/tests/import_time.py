"""Measures what importing the package takes above importing asyncio; see ``make import-time``."""

from __future__ import annotations

import statistics
import subprocess
import sys

RUNS = 20
ALLOWED = 60.0
"""Milliseconds."""


def once(module: str) -> float:
    """Milliseconds of one import in a new interpreter."""
    command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # The last line is the module itself: its own time, and that of all it imports.
    last = done.stderr.splitlines()[-1]
    assert last.endswith(module), last
    return int(last.split("|")[1]) / 1000


def main() -> int:
    """Prints the medians; fails above what is allowed."""
    # In turns, so that a busy moment of the machine meets both.
    pairs = [(once("asyncio"), once("letta_app_client")) for _ in range(RUNS)]
    base, package = (statistics.median(times) for times in zip(*pairs, strict=True))
    more = package - base
    print(  # noqa: T201 - that is what it is for
        f"import asyncio: {base:.1f} ms; import letta_app_client: {package:.1f} ms;"
        f" {more:.1f} ms more, {ALLOWED:.0f} are allowed (medians of {RUNS} runs)"
    )
    return 0 if more <= ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
