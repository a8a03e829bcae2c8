"""Shorthands for commands."""

from __future__ import annotations

from typing import Any

from letta_app_client import AppServerClient, Fields

RUNTIME = {"agent_id": "agent-1", "conversation_id": "conv-1"}


def message(text: str = "hi", **fields: Any) -> dict[str, Any]:
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
