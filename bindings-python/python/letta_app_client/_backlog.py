"""Frames that wait for a reader, within bounds: as the engine's own queue keeps them."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Literal, TypeAlias

from . import _native
from ._decode import classes
from .messages import Message

__all__ = ["MAX_BYTES", "MAX_ITEMS", "Backlog", "Overflow", "kept"]

MAX_ITEMS = 65_536
"""How many frames wait by default, as in the engine."""

MAX_BYTES = 64 * 1024 * 1024
"""How many bytes of frames wait by default."""

Overflow: TypeAlias = Literal["drop_oldest", "raise"]
"""What happens when too much waits for a reader of frames."""


@cache
def kept() -> frozenset[type[Message]]:
    """The classes of the frames that are never dropped."""
    return frozenset(classes()[name] for name in _native.kept_frames())


def _size(message: Message) -> int:
    return message._bytes  # noqa: SLF001 - of this package


class Backlog:
    """A bounded queue: when it is full the oldest frames go, or it ends.

    What ends a turn or a terminal, permissions that are wanted and tool calls never go; they alone
    may lead above the limits. A single frame is never too much.
    """

    def __init__(self, limit: int, max_bytes: int, overflow: Overflow) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._raises = overflow == "raise"
        # What stayed when its neighbours went; older than the rest.
        self._kept: deque[Message] = deque()
        self._frames: deque[Message] = deque()
        self._bytes = 0
        self.dropped = 0
        self.is_over = False

    def __len__(self) -> int:
        return len(self._kept) + len(self._frames)

    def put(self, message: Message) -> None:
        """Takes a frame. One that does not fit ends a queue that is to raise."""
        size = _size(message)
        if self.is_over or (self._raises and self._is_too_much(1, size)):
            self.lost(1)
            return
        self._frames.append(message)
        self._bytes += size
        while self._frames and self._is_too_much(0, 0):
            oldest = self._frames.popleft()
            if type(oldest) in kept():
                self._kept.append(oldest)
            else:
                self._bytes -= _size(oldest)
                self.dropped += 1

    def lost(self, count: int) -> None:
        """Counts frames that are missing."""
        self.dropped += count
        self.is_over = self._raises

    def pop(self) -> Message:
        """Returns the oldest frame; there must be one."""
        message = (self._kept or self._frames).popleft()
        self._bytes -= _size(message)
        return message

    def clear(self) -> None:
        """Forgets what waits."""
        self._kept.clear()
        self._frames.clear()
        self._bytes = 0

    def _is_too_much(self, more: int, size: int) -> bool:
        count = len(self) + more
        return count > 1 and (count > self._limit or self._bytes + size > self._max_bytes)
