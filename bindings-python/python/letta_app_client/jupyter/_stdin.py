"""Whose turn it is to ask in the notebook's line for input: one at a time.

There is one line, and one socket for what is typed into it. Were two to ask at once, one would get
what was typed for the other, and a permission could be given by an answer to something else.
"""

from __future__ import annotations

import functools
import sys
import threading
from types import CodeType, FrameType
from typing import Any

__all__ = ["give_back", "is_free", "share", "take"]

_taken = threading.RLock()
"""Held by who asks. A handler of signals may ask while its own thread does."""

_sharing = threading.Lock()
"""Held while ``input`` is wrapped: it is wrapped once."""

_SLICE = 0.1
"""Seconds after which who waits for the line can be interrupted, where nothing else ends a wait."""

_MARK = "letta_app_client_shares"


def share(kernel: Any) -> None:
    """Lets the program's own ``input`` wait while somebody is asked for a permission."""
    with _sharing:
        own = getattr(kernel, "_input_request", None)
        if own is not None and not hasattr(own, _MARK):
            # What `input` and `getpass` go through.
            kernel._input_request = _in_turn(own)  # noqa: SLF001


def _in_turn(own: Any) -> Any:
    @functools.wraps(own)
    def in_turn(*args: Any, **options: Any) -> Any:
        held = False
        # Ctrl-C may come as soon as it is taken.
        try:
            while not held:
                held = _taken.acquire(timeout=_SLICE)
            return own(*args, **options)
        finally:
            if held:
                _taken.release()

    setattr(in_turn, _MARK, own)
    return in_turn


def is_free(kernel: Any) -> bool:
    """Whether nobody is being asked for anything."""
    if not take(kernel):
        return False
    give_back()
    return True


def take(kernel: Any) -> bool:
    """Takes the line, if it is free; it is given back by the same thread."""
    if not _taken.acquire(blocking=False):
        return False
    if _is_open_since_before(kernel):
        give_back()
        return False
    return True


def give_back() -> None:
    """Lets the next one ask."""
    _taken.release()


def _is_open_since_before(kernel: Any) -> bool:
    """Whether an ``input`` waits that had begun before ``share``."""
    shared = getattr(kernel, "_input_request", None)
    own = getattr(shared, _MARK, shared)
    code = getattr(own, "__code__", None)
    frames = sys._current_frames().values()  # noqa: SLF001 - documented
    return code is not None and any(_runs(code, frame) for frame in frames)


def _runs(code: CodeType, frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False
