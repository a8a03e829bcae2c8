"""What this process and its main thread have used, as every peer reports it."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path


def status_kib(name: str) -> int:
    """A figure of ``/proc/self/status``."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise LookupError(name)


class Usage:
    """A moment of a measurement; taken on the thread that the user's code runs on."""

    def __init__(self) -> None:
        self.wall = time.perf_counter()
        self.cpu = time.process_time()
        self.thread = time.thread_time()

    def report(self, units: int, times: list[float] | None = None) -> None:
        """Prints what was used since then, and the median of the times of single calls."""
        print(
            json.dumps(
                {
                    "units": units,
                    "wall": time.perf_counter() - self.wall,
                    "cpu": time.process_time() - self.cpu,
                    "thread": time.thread_time() - self.thread,
                    "peak_kib": status_kib("VmHWM:"),
                    "p50_us": statistics.median(times) * 1e6 if times else None,
                }
            )
        )
