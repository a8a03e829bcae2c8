"""A thousand connections and a thousand turns in one process, in each language (`make endurance`).

The server double is in this process, so what it holds is not counted. Prints a table. Fails when a
thread or a descriptor stays, or when the memory grows in the second half.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from letta_app_client.testing import MockServer, script

HERE = Path(__file__).parent
TIMES = int(os.environ.get("ENDURANCE_TIMES", "1000"))
GROWTH = 2.0
"""The most MiB of growth in the second half, in which nothing is new any more: 4 KiB for each."""
NODE = [os.environ.get("NODE", "node"), "--expose-gc", "--max-semi-space-size=1"]
"""By default the young generation of Node grows to 48 MiB, whatever it is used for."""
PROGRAMS = {
    "Rust": [str(HERE.parents[1] / "target/debug/examples/endurance")],
    "Python": [sys.executable, "cycles.py"],
    "Node": [*NODE, "cycles.mjs"],
}
HEAD = ["language", "times", "threads", "descriptors", "MiB at first", "half-way", "at last", ""]


def main() -> int:
    turn = script.turn(["piece "] * 20, tool_calls=[("Read", {"path": "a"})])
    rows, failures = [HEAD], 0
    for language, program in PROGRAMS.items():
        with MockServer([turn]) as mock:
            command = [*program, mock.url, str(TIMES)]
            output = subprocess.run(command, cwd=HERE, stdout=subprocess.PIPE, check=True).stdout
        for what, held in json.loads(output).items():
            first, middle, last = (kib / 1024 for kib in held["memory"])
            stays = [held[kind][0] != held[kind][1] for kind in ("threads", "descriptors")]
            well = not any(stays) and last - middle <= GROWTH
            failures += not well
            threads, descriptors = (f"{a} → {b}" for a, b in (held["threads"], held["descriptors"]))
            sizes = [f"{first:.1f}", f"{middle:.1f}", f"{last:.1f}"]
            verdict = "" if well else "FAILED"
            rows.append([language, f"{TIMES:,} {what}", threads, descriptors, *sizes, verdict])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        print("  ".join(map(str.ljust, cells, widths)).rstrip())
    print(f"at most {GROWTH} MiB more in the second half: " + ("FAILED" if failures else "yes"))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
