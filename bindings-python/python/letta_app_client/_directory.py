"""The directory a conversation works in: what is asked for, and what the server shows of it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from . import _native
from ._checks import expect_path
from ._filters import Wanted
from ._link import Link
from ._subscription import Inbox

__all__ = ["absolute", "is_at", "shown"]

_STATUSES = 100
"""More than there are of a conversation before anybody looks."""


async def shown(
    link: Link, runtime: Mapping[str, Any], change: Callable[[], None], wanted: str
) -> str | None:
    """Sends a change, and waits as long as the engine says until the server shows the directory.

    Returns ``None`` where it does not.
    """
    loop = link.bridge.enter()
    types = ("update_device_status", "update_loop_status")
    inbox = Inbox(link, Wanted(types, runtime), _STATUSES)
    wait, sent = _native.DirectoryChange(), time.monotonic()
    over = False

    def end() -> None:
        nonlocal over
        over = True
        inbox.wake()

    until = wait.until
    cancel = loop.later(until, end)
    try:
        change()
        while (frame := await inbox.next(lambda: over)) is not None:
            now = time.monotonic() - sent
            folder = wait.frame(now, frame.raw_text)
            if folder is not None and is_at(folder, wanted):
                return folder
            if wait.until != until:
                until = wait.until
                cancel()
                cancel = loop.later(max(0.0, until - now), end)
    finally:
        inbox.leave()
        cancel()
    return None


_ELSEWHERE = re.compile("/(?!/)" if os.name == "nt" else r"[A-Za-z]:[\\/]")
"""How a path begins at a root of another system, as that of a server in a WSL does for Windows.

Here it would be made part of something else.
"""


def absolute(path: str | os.PathLike[str]) -> str:
    """A path the server understands."""
    given = expect_path("cwd", path)
    if _ELSEWHERE.match(given):
        return given
    return os.path.abspath(given)  # noqa: PTH100 - keeps symbolic links, takes out ``..``


def is_at(found: str, wanted: str) -> bool:
    """Whether it is that directory: the server tells it without symbolic links."""
    return os.path.normpath(found) in (os.path.normpath(wanted), os.path.realpath(wanted))
