"""The directory a conversation works in: what is asked for, and what the server shows of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from ._checks import expect_path
from ._filters import Wanted
from ._link import Link
from ._subscription import Inbox

__all__ = ["absolute", "is_at", "shown"]

_STATUSES = 100
"""More than there are of a conversation before anybody looks."""

_HANDLED = 2.0
"""Seconds in which a server shows that it has handled a change; it takes some milliseconds."""

_SHOWN = 0.25
"""And after that shows the directory: what was handled may have been a change before this one."""


async def shown(
    link: Link, runtime: Mapping[str, Any], change: Callable[[], None], wanted: str
) -> str | None:
    """Sends a change, and waits until the server shows the directory; ``None`` where it does not.

    It says that it works on a command, then how the device is or an error, and that it does not
    work any more (protocol section 12). While a turn runs it says nothing of the kind but how the
    device is.
    """
    types = ("update_device_status", "update_loop_status")
    inbox = Inbox(link, Wanted(types, runtime), _STATUSES)
    loop = link.bridge.enter()
    begun = over = False

    def end() -> None:
        nonlocal over
        over = True
        inbox.wake()

    cancels = [loop.later(_HANDLED, end)]
    try:
        change()
        while (frame := await inbox.next(lambda: over)) is not None:
            folder = _text(frame, "device_status", "current_working_directory")
            if folder is not None and is_at(folder, wanted):
                return folder
            status = _text(frame, "loop_status", "status")
            if status == "EXECUTING_COMMAND":
                begun = True
                # That one may be the change.
                for cancel in cancels[1:]:
                    cancel()
            elif status is not None and begun:
                begun = False
                cancels.append(loop.later(_SHOWN, end))
    finally:
        inbox.leave()
        for cancel in cancels:
            cancel()
    return None


def _text(frame: Mapping[str, Any], part: str, name: str) -> str | None:
    """A text in a part of a frame, if it is there."""
    within = frame.get(part)
    found = within.get(name) if isinstance(within, Mapping) else None
    return found if isinstance(found, str) else None


def absolute(path: str | os.PathLike[str]) -> str:
    """A path the server understands."""
    return os.path.abspath(expect_path("cwd", path))  # noqa: PTH100 - keeps symbolic links, takes out ``..``


def is_at(found: str, wanted: str) -> bool:
    """Whether it is that directory: the server tells it without symbolic links."""
    return os.path.normpath(found) in (os.path.normpath(wanted), os.path.realpath(wanted))
