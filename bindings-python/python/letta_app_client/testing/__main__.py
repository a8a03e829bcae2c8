"""``python -m letta_app_client.testing conformance DIR``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from .conformance import run


def main() -> int:
    """Runs the command line; the exit code is 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m letta_app_client.testing")
    commands = parser.add_subparsers(dest="command", required=True)
    conformance = commands.add_parser(
        "conformance", help="play recordings and compare what run_turn reports with EXPECTED.json"
    )
    conformance.add_argument("folder", type=Path, metavar="DIR", help="a folder of recordings")
    conformance.add_argument("--jobs", type=int, default=16, help="recordings at a time")
    options = parser.parse_args()
    report = asyncio.run(run(options.folder, options.jobs))
    for failure in report.failures:
        print(failure)
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
