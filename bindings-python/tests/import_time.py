"""What importing the package takes above doing nothing; see ``make import-time``."""

from __future__ import annotations

import subprocess
import sys
import time

RUNS = 20
ALLOWED = 40.0
"""Milliseconds."""


def once(program: str) -> float:
    """Milliseconds from the start to the end of a new interpreter with a program."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return (time.perf_counter() - start) * 1000


def main() -> int:
    """Prints the best times; fails above what is allowed."""
    # In turns, so that a busy moment meets both; what disturbs a run only ever adds to it.
    package_only = "import letta_app_client"
    programs = ("pass", package_only, f"{package_only}; letta_app_client.connect")
    rounds = [[once(program) for program in programs] for _ in range(RUNS)]
    base, package, ready = map(min, zip(*rounds, strict=True))
    more = package - base
    print(  # noqa: T201 - that is what it is for
        f"python -c pass: {base:.1f} ms; with import letta_app_client: {package:.1f} ms;"
        f" {more:.1f} ms more, {ALLOWED:.0f} are allowed; with all that a client needs:"
        f" {ready - base:.1f} ms more (the best of {RUNS} runs)"
    )
    return 0 if more <= ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
