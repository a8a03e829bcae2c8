"""A flood of a million deltas, read at one per millisecond, in each language (`make backpressure`).

The server double is in this process, so what it holds is not counted. Each program has three
readers: a slow one of the turn's events, a slow one of the frames, and a fast one of all frames.
Prints a table. Fails when a count is not exact, an end is missing or the memory grows too much.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from letta_app_client.testing import MockServer, script

HERE = Path(__file__).parent
DELTAS = int(os.environ.get("BACKPRESSURE_DELTAS", "1000000"))
PIECE = "."
"""Short: the whole text is in the result and its copies, which is not what waits."""
GROWTH = 64.0
"""The most MiB of growth."""
PROGRAMS = {
    "Rust": [str(HERE.parents[1] / "target/debug/examples/backpressure")],
    "Python": [sys.executable, "slow.py"],
    "Node": [os.environ.get("NODE", "node"), "--expose-gc", "--max-semi-space-size=1", "slow.mjs"],
}
NAMES = {"turn": "events, 1 per ms", "frames": "frames, 1 per ms", "fast": "frames, all"}
HEAD = ["language", "reader", "sent", "delivered", "merged", "dropped", "exact"]


def judged(language: str, seen: dict[str, Any]) -> tuple[list[list[str]], str, bool]:
    """Rows of the table, what is said below it, and whether all is well."""
    rows, well = [], True
    for name, reader in NAMES.items():
        sent, *rest = seen["readers"][name]
        exact = sent == sum(rest) and sent >= DELTAS and (name != "fast" or rest[-1] == 0)
        well &= exact
        numbers = [f"{number:,}" for number in (sent, *rest)]
        rows.append([language, reader, *numbers, "yes" if exact else "NO"])
    before, most = (kib / 1024 for kib in seen["memory"])
    whole = seen["bytes"] == DELTAS * len(PIECE)
    well &= bool(seen["finished"]) and whole and most - before <= GROWTH
    told = (
        f"{language}: {seen['seconds']:.0f} s of flood; memory {before:.0f} MiB, at most "
        f"{most - before:.0f} MiB more ({GROWTH:.0f} allowed); the ends came: "
        f"{'yes' if seen['finished'] else 'NO'}; the result is whole: {'yes' if whole else 'NO'}"
    )
    return rows, told, well


def main() -> int:
    rows, below, failures = [HEAD], [], 0
    chosen = os.environ.get("BACKPRESSURE_ONLY", ",".join(PROGRAMS)).split(",")
    for language in chosen:
        with MockServer([script.turn([PIECE] * DELTAS)]) as mock:
            command = [*PROGRAMS[language], mock.url, str(DELTAS)]
            output = subprocess.run(command, cwd=HERE, stdout=subprocess.PIPE, check=True).stdout
        more, told, well = judged(language, json.loads(output))
        rows += more
        below.append(told)
        failures += not well
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        print("  ".join(map(str.ljust, cells, widths)).rstrip())
    print(*below, "FAILED" if failures else "nothing was lost in silence", sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
