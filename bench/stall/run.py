"""Five clients whose programs are busy while a turn is streamed to each of them (`make stall`).

Every client is a process of its own with a server double of its own, which has the limits of a
real server for slow readers. Prints a table. Fails when one of our packages lost its connection or
a piece of the text.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from letta_app_client.testing import MockServer, script

HERE = Path(__file__).parent
SECONDS = float(os.environ.get("STALL_SECONDS", "120"))
DELTAS = int(os.environ.get("STALL_DELTAS", "20000"))
WORDS = "a long story that is told in many small pieces, " * 3
PIECES = [f"{number:05} {WORDS}" for number in range(DELTAS)]
"""With them a frame has about 650 bytes, as one of a real server."""
PATIENCE = 120
"""Seconds that a client may take besides the stall."""


class Client(NamedTuple):
    name: str
    command: list[str]
    is_ours: bool = False


class Outcome(NamedTuple):
    seen: dict[str, Any]
    dropped: str
    is_complete: bool


def ws_version() -> str:
    return json.loads((HERE / "node_modules/ws/package.json").read_text())["version"]


def letta_code_version() -> str:
    pinned = json.loads((HERE.parents[1] / "tests/live/server/package.json").read_text())
    return pinned["dependencies"]["@letta-ai/letta-code"]


def clients() -> list[Client]:
    python, node = sys.executable, os.environ.get("NODE", "node")
    ws = f"ws {ws_version()}"
    return [
        Client("letta-app-client (Python)", [python, "ours.py"], is_ours=True),
        Client(f"websockets {version('websockets')} (Python)", [python, "pure.py"]),
        Client("@letta/app-client-native (Node)", [node, "ours.mjs"], is_ours=True),
        Client(f"{ws} (Node)", [node, "pure.mjs"]),
        Client(f"letta-code {letta_code_version()}, {ws} (Node)", [node, "reference.mjs"]),
    ]


def run(client: Client) -> Outcome:
    turn = script.turn(PIECES, spread_ms=int(SECONDS * 1000))
    with MockServer([turn], slow_reader_limits=True) as mock:
        done = subprocess.run(
            [*client.command, mock.url, str(SECONDS)],
            cwd=HERE,
            stdout=subprocess.PIPE,
            text=True,
            timeout=SECONDS + PATIENCE,
            check=True,
        )
        ended = [f"after {it.seconds:.1f} s: {it.reason}" for it in mock.terminated]
    seen = json.loads(done.stdout)
    whole = hashlib.sha256("".join(PIECES).encode()).hexdigest()
    return Outcome(seen, "; ".join(ended), seen["sha256"] == whole)


def closed(seen: dict[str, Any]) -> str:
    end = seen["closed"]
    if end is None:
        return "-"
    reason = f" {end['reason']}" if end["reason"] else ""
    return f"at {end['after']:.1f} s: {end['code']}{reason}"


def row(client: Client, outcome: Outcome) -> list[str]:
    seen = outcome.seen
    return [
        client.name,
        f"{seen['stalled']:.1f} s",
        outcome.dropped or "never",
        closed(seen),
        f"{seen['deltas']:,} of {DELTAS:,}",
        "yes" if outcome.is_complete else "NO",
    ]


def main() -> int:
    chosen = clients()
    with ThreadPoolExecutor(len(chosen)) as pool:
        outcomes = list(pool.map(run, chosen))
    head = [
        "client",
        "stalled",
        "dropped by the server",
        "seen by the client",
        "deltas",
        "complete",
    ]
    rows = [head, *map(row, chosen, outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows:
        print("  ".join(map(str.ljust, cells, widths)).rstrip())
    ours = [outcome for client, outcome in zip(chosen, outcomes, strict=True) if client.is_ours]
    well = all(it.is_complete and not it.dropped and not it.seen["closed"] for it in ours)
    print("our packages: " + ("nothing lost" if well else "FAILED"))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
