"""Our packages beside what one could use instead (``make bench``).

Every client is a process of its own with a server double of its own; the clients of a workload
take turns. ``ROUNDS`` says how often, ``ONLY`` picks workloads by a part of their title. Prints
tables, and writes ``results.json`` when all workloads have run.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from report import Samples, aim_line, table, verdicts
from workloads import WORKLOADS, Client, Workload

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RELEASE = ROOT / "target/release"
ROUNDS = int(os.environ.get("ROUNDS", "5"))
ONLY = os.environ.get("ONLY", "")
PATIENCE = 120
"""Seconds for one run of one client."""


@contextmanager
def double(workload: Workload) -> Iterator[str]:
    """A server of its own for one run."""
    command = [*pin(workload), str(RELEASE / "double"), *workload.double]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def pin(workload: Workload) -> list[str]:
    return ["taskset", "-c", "0"] if workload.pinned else []


def command(client: Client) -> list[str]:
    if client.language == "python":
        script = "ours.py" if client.is_ours else "peer.py"
        return [sys.executable, str(HERE / "python" / script), *client.arguments]
    if client.language == "node":
        node = os.environ.get("NODE", "node")
        return [node, "--expose-gc", str(HERE / "node/peer.mjs"), *client.arguments]
    return [str(RELEASE / "rust_peer"), *client.arguments]


def once(workload: Workload, client: Client) -> dict[str, Any]:
    """Runs one client once."""
    environment = os.environ | {
        "BENCH_WAY": client.way,
        "BENCH_NODE": str(ROOT / "target/bench/node"),
    }
    with double(workload) as url:
        done = subprocess.run(
            [*pin(workload), *command(client), url, workload.name, json.dumps(workload.sizes)],
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            env=environment,
            check=True,
        )
    return json.loads(done.stdout)


def measure(workload: Workload) -> Samples:
    """All clients in turns, so that a busy moment of the machine meets all."""
    samples: Samples = {client.name: [] for client in workload.clients}
    rounds = min(ROUNDS, workload.rounds or ROUNDS)
    for number in range(rounds):
        print(f"  round {number + 1} of {rounds}", end="\r", file=sys.stderr, flush=True)
        for client in workload.clients:
            samples[client.name].append(once(workload, client))
    return samples


def machine() -> dict[str, Any]:
    names = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    packages = ["picows", "msgspec", "websockets", "orjson", "aiohttp", "uvloop"]
    ws = json.loads((HERE / "node/node_modules/ws/package.json").read_text())["version"]
    pinned = json.loads((ROOT / "tests/live/server/package.json").read_text())["dependencies"]
    node = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True, check=True)
    rust = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True, check=True)
    return {
        "cpu": names[0].split(":")[1].strip() if names else platform.machine(),
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "node": node.stdout.strip(),
        "rust": rust.stdout.strip(),
        "versions": {name: version(name) for name in packages}
        | {"ws": ws, "@letta-ai/letta-code": pinned["@letta-ai/letta-code"]},
        "load_before": os.getloadavg()[0],
    }


def main() -> int:
    start = time.monotonic()
    results: dict[str, Any] = {"machine": machine(), "rounds": ROUNDS, "workloads": []}
    chosen = [workload for workload in WORKLOADS if ONLY in workload.title]
    missed = 0
    for workload in chosen:
        print(f"\n{workload.title}  ({time.monotonic() - start:.0f} s)", flush=True)
        samples = measure(workload)
        judged = verdicts(workload, samples)
        missed += sum(not verdict["reached"] for verdict in judged)
        for line in (*table(workload, samples), *map(aim_line, judged)):
            print(line, flush=True)
        results["workloads"].append(
            {
                "title": workload.title,
                "unit": workload.unit,
                "notes": workload.notes,
                "sizes": workload.sizes,
                "aims": judged,
                "samples": samples,
            }
        )
    print(f"\n{missed} aims not reached; {time.monotonic() - start:.0f} s")
    if len(chosen) == len(WORKLOADS):
        text = json.dumps(results, indent=1, ensure_ascii=False)
        (HERE.parent / "results.json").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
