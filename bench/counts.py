"""Instructions of the engine for fixed inputs, against ``counts.json`` (``make counts``).

``counts.py PROGRAM [--update]``, where the program is the example ``steps``. They do not depend on
the machine, and hardly on anything else; fails where one is more than ``MARGIN`` above what is
written there.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

COUNTS = Path(__file__).parent / "counts.json"
MARGIN = 0.03
STEPS = ("envelope", "stream", "turn", "events")
TIMES = 5
HINT = "counts.py: needs valgrind (apt-get install valgrind, or dnf install valgrind)"


def collected(program: str, step: str, times: int) -> int:
    """The instructions of one run."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run(
        [*command, program, step, str(times)], stderr=subprocess.PIPE, text=True, check=True
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr
    return int(found[1])


def main(program: str, *, updates: bool) -> int:
    if shutil.which("valgrind") is None:
        print(HINT, file=sys.stderr)
        return 1
    counts = json.loads(COUNTS.read_text())
    written = counts["instructions_per_turn"]
    rustc = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True, check=True)
    found = {}
    failed = []
    for step in STEPS:
        nothing = collected(program, step, 0)
        found[step] = (collected(program, step, TIMES) - nothing) // TIMES
        change = found[step] / written[step] - 1 if written.get(step) else 0.0
        print(f"{step:<10} {found[step]:>12,} instructions per turn, {change:+.1%}")
        if change > MARGIN:
            failed.append(step)
    if updates:
        counts["rustc"] = rustc.stdout.strip()
        counts["instructions_per_turn"] = found
        COUNTS.write_text(json.dumps(counts, indent=2) + "\n")
        return 0
    if failed:
        print(
            f"more than {MARGIN:.0%} above bench/counts.json: {', '.join(failed)}", file=sys.stderr
        )
        if counts["rustc"] != rustc.stdout.strip():
            print(
                f"(those are of {counts['rustc']}, this is {rustc.stdout.strip()})", file=sys.stderr
            )
        print("If that is meant, `make counts-update` writes the new figures.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], updates="--update" in sys.argv))
