"""What a frame and a turn cost with many runtimes and on an old connection (``make curves``).

Runs the Rust client against the server double, prints CPU time per unit, writes
``docs/curves.svg``, and fails where a curve is not flat: more than ``ALLOWED`` times its best.
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
ROUNDS = 3
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


def best(workload: str, way: str, sizes: dict[str, int], deltas: int) -> float:
    """Of some runs: what disturbs one only ever adds to it."""
    return min(once(workload, way, sizes, deltas) for _ in range(ROUNDS))


def by_runtimes() -> dict[str, Curve]:
    frames, turns = [], []
    for count in RUNTIMES:
        frames.append((count, best("stream", "engine", {"turns": 3, "runtimes": count}, DELTAS)))
        sizes = {"runtimes": count, "turns": max(2, 2_000 // count)}
        turns.append((count, best("turns", "ours", sizes, 50) / 56))
        print(
            f"{count:>10,} runtimes: {frames[-1][1]:.2f} µs per frame,"
            f" {turns[-1][1]:.2f} µs per frame of turns on all of them",
            flush=True,
        )
    return {"frames of one runtime, others known": frames, "turns on all runtimes": turns}


def by_age() -> dict[str, Curve]:
    curve = []
    for frames in FRAMES:
        # What is measured are a hundred thousand frames after so many.
        way = {"turns": 5, "before": frames // DELTAS}
        curve.append((frames, best("stream", "engine", way, DELTAS)))
        print(f"after {frames:>10,} frames: {curve[-1][1]:.2f} µs per frame", flush=True)
    return {"frames of an old connection": curve}


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
        steepest = max(figures) / min(figures)
        flat = steepest <= ALLOWED
        failed |= not flat
        print(f"{name}: {steepest:.2f} times its best point at most{'' if flat else ': NOT FLAT'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
