"""What a session reads of the answers to its commands."""

from __future__ import annotations

from .errors import incomplete
from .messages import Fields, Message

__all__ = ["forked_id", "started_runtime"]


def started_runtime(started: Message) -> Fields:
    """Which conversation a server has started: without it nothing could be asked there."""
    runtime = started.get("runtime")
    ids = ("agent_id", "conversation_id")
    if isinstance(runtime, Fields) and all(isinstance(runtime.get(name), str) for name in ids):
        return runtime
    raise incomplete(started, "runtime", "an agent_id and a conversation_id")


def forked_id(forked: Message) -> str:
    """The id of the copy of a conversation."""
    copy = forked.get("conversation")
    found = copy.get("id") if isinstance(copy, Fields) else None
    if isinstance(found, str):
        return found
    raise incomplete(forked, "conversation", "an object with an id")
