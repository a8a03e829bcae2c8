"""The latest decisions on permissions, as many as a session keeps."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._audit import AuditEntry

__all__ = ["Decided"]

MOST = 4096
MOST_BYTES = 64 * 1024 * 1024


class Decided:
    """A list that keeps what was added last. Handlers add to it in whatever thread they run in."""

    __slots__ = ("_bytes", "_entries", "_lock", "dropped")

    def __init__(self) -> None:
        self._entries: deque[tuple[AuditEntry, int]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self.dropped = 0
        """How many were kept and are no longer."""

    def add(self, entry: AuditEntry, size: int) -> None:
        """Adds one whose request has so many bytes; the oldest go where it is too much."""
        with self._lock:
            self._entries.append((entry, size))
            self._bytes += size
            while len(self._entries) > MOST or (
                self._bytes > MOST_BYTES and len(self._entries) > 1
            ):
                self._bytes -= self._entries.popleft()[1]
                self.dropped += 1

    def entries(self) -> tuple[AuditEntry, ...]:
        """All that are kept, in their order."""
        with self._lock:
            return tuple(entry for entry, _ in self._entries)
