"""What a tool may know of the call that it answers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from .messages import Fields

__all__ = ["ToolContext"]


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Details of one call of a tool, for a parameter with this hint; the model does not see it.

    Attributes:
        call_id: The model's id of the call.
        tool_name: The tool.
        runtime: The agent and the conversation, usable as ``runtime=`` of a command; ``None`` if
            the server does not say.
        cancelled: Is set when the answer is no longer wanted: the turn was aborted, the connection
            has ended, or ``external_tool_timeout`` has passed. A thread cannot be cancelled, so a
            tool that takes long should look here (``is_set()``, ``wait(seconds)``). An
            ``async def`` is cancelled as well.
    """

    call_id: str = ""
    tool_name: str = ""
    runtime: Fields | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
