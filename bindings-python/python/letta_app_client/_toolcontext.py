"""What a tool may know of the call that it answers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from .messages import Fields

__all__ = ["ToolContext"]


@dataclass(frozen=True, slots=True)
class ToolContext:
    """One call of a tool. A parameter with this hint gets it; the model does not see it.

    Attributes:
        call_id: The model's id of the call.
        tool_name: The tool.
        runtime: The agent and the conversation, usable as ``runtime=`` of a command; ``None`` where
            the server does not say.
        cancelled: Is set when nobody needs the answer any more: the turn was aborted, the
            connection has ended, or ``external_tool_timeout`` has passed. A thread cannot be
            cancelled, so a tool that takes long looks here (``is_set()``, ``wait(seconds)``). An
            ``async def`` is cancelled as well.
    """

    call_id: str = ""
    tool_name: str = ""
    runtime: Fields | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
