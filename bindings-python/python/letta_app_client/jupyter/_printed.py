"""What each of several threads prints, kept apart while all share one standard output."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

__all__ = ["kept"]


class _Dispatcher(io.TextIOBase):
    """Stands in for a stream, and keeps what some threads write; others write as before."""

    def __init__(self, before: TextIO) -> None:
        self.before = before

    def write(self, text: str) -> int:
        mine = _buffers.get(threading.get_ident())
        return (self.before if mine is None else mine).write(text)

    def flush(self) -> None:
        self.before.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.before, name)


_buffers: dict[int, io.StringIO] = {}
"""By thread. Code that was stopped may sleep on while other code runs, and prints later."""

_lock = threading.Lock()


@contextmanager
def kept() -> Iterator[io.StringIO]:
    """Keeps what the calling thread prints.

    The streams are replaced by the first who does so, and put back by the last: whoever put back
    what was there when it began could put back the other's, for good.
    """
    me, buffer = threading.get_ident(), io.StringIO()
    with _lock:
        outer = _buffers.get(me)
        _buffers[me] = buffer
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if not isinstance(stream, _Dispatcher):
                setattr(sys, name, _Dispatcher(stream))
    try:
        yield buffer
    finally:
        with _lock:
            _buffers.pop(me, None)
            if outer is not None:
                _buffers[me] = outer
            if not _buffers:
                _put_back()


def _put_back() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # Another one is the program's own, which it has put there meanwhile.
        if isinstance(stream, _Dispatcher):
            setattr(sys, name, stream.before)
