"""Shorthands for commands."""

from __future__ import annotations

from typing import Any

import anyio

from letta_app_client import AppServerClient, Fields, Message

RUNTIME = {"agent_id": "agent-1", "conversation_id": "conv-1"}


def message(text: str = "hi", **fields: Any) -> Any:
    """The payload of an input."""
    return {
        "kind": "create_message",
        "messages": [{"role": "user", "content": text}],
        **fields,
    }


async def start(client: AppServerClient, **fields: Any) -> Fields:
    """Starts a runtime and returns its scope."""
    options = {"agent_id": "agent-1", "create_conversation": {"body": {}}, "mode": "standard"}
    started = await client.runtime_start(**{**options, **fields})
    runtime = started.runtime
    assert isinstance(runtime, Fields)
    return runtime


def text_seen(client: AppServerClient) -> anyio.Event:
    """Is set when the agent says something."""
    seen = anyio.Event()

    def watch(frame: Message, _: str) -> None:
        if frame.type == "stream_delta" and frame.delta.message_type == "assistant_message":
            seen.set()

    client.on_message(watch)
    return seen


def frame_seen(client: AppServerClient, kind: str) -> anyio.Event:
    """Is set when a frame of a type comes."""
    seen = anyio.Event()
    client.on_message(lambda frame, _: seen.set() if frame.type == kind else None)
    return seen
