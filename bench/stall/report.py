"""What a client in Python saw, and the stall."""

import ctypes
import hashlib
import json
import threading
import time


def stall(seconds: float) -> float:
    """Holds the interpreter, as a long regular expression or a large power does.

    Returns how long; fails if another Python thread ran meanwhile.
    """
    ticks, over = 0, threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not over.wait(0.05):
            ticks += 1

    threading.Thread(target=tick, daemon=True).start()
    begin = time.monotonic()
    # A function of a `PyDLL` is called without releasing the interpreter. An interrupted sleep
    # returns what is left.
    left = int(seconds)
    while left:
        left = ctypes.PyDLL(None).sleep(left)
    ran = ticks
    over.set()
    assert ran <= 1, f"other threads ran {ran} times"
    return time.monotonic() - begin


class Report:
    """Printed at the end, as one line of JSON."""

    def __init__(self) -> None:
        self.begin = time.monotonic()
        self.stalled = 0.0
        self.deltas = 0
        self.closed: dict[str, object] | None = None
        self._text = hashlib.sha256()

    def delta(self, text: str) -> None:
        self.deltas += 1
        self._text.update(text.encode())

    def lost(self, code: int | None, reason: str) -> None:
        after = time.monotonic() - self.begin
        self.closed = {"code": code, "reason": reason, "after": after}

    def print(self) -> None:
        seen = {"stalled": self.stalled, "closed": self.closed, "deltas": self.deltas}
        print(json.dumps({**seen, "sha256": self._text.hexdigest()}))
