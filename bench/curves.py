"""What a frame and a turn cost with many runtimes and on an old connection (``make curves``).

Runs the Rust client against the server double, prints CPU time per unit, writes
``docs/curves.svg``, and fails where a curve rises: to more than ``ALLOWED`` times the least of what
is left of it. That it falls is no defect: turns on several runtimes share what wakes both sides,
and a turn on one runtime has it for itself.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RELEASE = ROOT / "target/release"
PLOT = ROOT / "docs/curves.svg"
RUNTIMES = (1, 64, 1_000, 10_000)
FRAMES = tuple(int(it) for it in os.environ.get("AGES", "20000,100000,1000000,10000000").split(","))
DELTAS = 20_000
FRAMES_OF_TURN = 61
"""50 deltas, and what begins and ends a turn (`bench/side/src/frames.rs`)."""
ROUNDS = 5
ALLOWED = 1.5
COLOURS = ("#1f77b4", "#d62728", "#2ca02c")

Curve = list[tuple[int, float]]


def once(workload: str, way: str, sizes: dict[str, int], deltas: int) -> float:
    """CPU microseconds per unit of one run."""
    command = [str(RELEASE / "double"), "--deltas", str(deltas)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            peer = [str(RELEASE / "rust_peer"), way, url, workload, json.dumps(sizes)]
            done = subprocess.run(peer, stdout=subprocess.PIPE, text=True, check=True)
        finally:
            server.kill()
    seen = json.loads(done.stdout)
    return float(seen["cpu"]) / seen["units"] * 1e6


Job = tuple[str, str, dict[str, int], int, int]
"""Workload, way, sizes, deltas of a turn, and how many frames a unit of it is."""


def best(jobs: list[tuple[int, Job]]) -> Curve:
    """The least of some rounds for each place: what disturbs a run only ever adds to it."""
    found: dict[int, float] = {}
    for _ in range(ROUNDS):
        for place, (workload, way, sizes, deltas, frames) in jobs:
            seen = once(workload, way, sizes, deltas) / frames
            found[place] = min(seen, found.get(place, seen))
    return list(found.items())


def told(name: str, curve: Curve) -> dict[str, Curve]:
    for place, cost in curve:
        print(f"{name}: {place:>10,}: {cost:.2f} µs per frame", flush=True)
    return {name: curve}


def by_runtimes() -> dict[str, Curve]:
    frames: list[tuple[int, Job]] = []
    turns: list[tuple[int, Job]] = []
    for count in RUNTIMES:
        frames.append((count, ("stream", "engine", {"turns": 10, "runtimes": count}, DELTAS, 1)))
        sizes = {"runtimes": count, "turns": max(2, 4_000 // count)}
        turns.append((count, ("turns", "ours", sizes, 50, FRAMES_OF_TURN)))
    others = told("frames of one runtime, others known", best(frames))
    return others | told("turns on all runtimes", best(turns))


def by_age() -> dict[str, Curve]:
    # What is measured are two hundred thousand frames after so many.
    ages: list[tuple[int, Job]] = [
        (frames, ("stream", "engine", {"turns": 10, "before": frames // DELTAS}, DELTAS, 1))
        for frames in FRAMES
    ]
    return told("frames of an old connection", best(ages))


def panel(left: int, title: str, unit: str, curves: dict[str, Curve]) -> list[str]:
    """Half of the plot: logarithmic to the right, from zero upwards."""
    width, height, top = 360, 220, 50
    points = [point for curve in curves.values() for point in curve]
    first, last = (f(math.log10(x) for x, _ in points) for f in (min, max))
    highest = max(y for _, y in points) * 1.2

    def place(x: float, y: float) -> tuple[float, float]:
        right = (math.log10(x) - first) / (last - first) * width
        return left + right, top + height * (1 - y / highest)

    lines = [
        f'<text x="{left}" y="30" font-weight="bold">{title}</text>',
        f'<path d="M{left} {top}V{top + height}H{left + width}" fill="none" stroke="#888"/>',
    ]
    for x in sorted({x for x, _ in points}):
        at = place(x, 0)[0]
        lines.append(
            f'<text x="{at:.0f}" y="{top + height + 18}" text-anchor="middle">{x:,}</text>'
        )
    middle, low = left + width // 2, top + height + 36
    lines.append(f'<text x="{middle}" y="{low}" text-anchor="middle">{unit}</text>')
    for number in range(1, 4):
        y = highest / 4 * number
        at = place(10**first, y)[1]
        lines.append(f'<text x="{left - 6}" y="{at + 4:.0f}" text-anchor="end">{y:.1f}</text>')
    for number, (name, curve) in enumerate(curves.items()):
        path = " ".join("{:.0f},{:.0f}".format(*place(x, y)) for x, y in curve)
        colour = COLOURS[number]
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        at = top + height + 60 + 18 * number
        lines.append(f'<text x="{left}" y="{at}" fill="{colour}">{name}</text>')
    return lines


def main() -> int:
    runtimes, age = by_runtimes(), by_age()
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 370" font-size="12">',
        "<style>text { font-family: sans-serif }</style>",
        '<rect width="900" height="370" fill="white"/>',
        *panel(60, "CPU µs per frame, by runtimes", "runtimes", runtimes),
        *panel(500, "CPU µs per frame, by age", "frames before", age),
        "</svg>",
    ]
    PLOT.write_text("\n".join(lines) + "\n")
    failed = False
    for name, curve in (runtimes | age).items():
        figures = [y for _, y in curve]
        rise = max(y / min(figures[: place + 1]) for place, y in enumerate(figures))
        failed |= rise > ALLOWED
        print(f"{name}: rises to {rise:.2f} times{'' if rise <= ALLOWED else ': NOT FLAT'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
