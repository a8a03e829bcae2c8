"""What the live tests share: clients whose frames are logged, runtimes, and a second client."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import anyio

import letta_app_client as letta
from letta_app_client import AppServerClient, Fields, Message

LOOKUP = {
    "name": "lookup",
    "description": "Looks things up",
    "parameters": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
}


def call(tool: str, **arguments: Any) -> str:
    """The directive that makes the model call a tool."""
    return f"TOOL={tool}|{quote(json.dumps(arguments))}"


def touch(name: str) -> str:
    """A call that makes a file. A harmless command such as ``echo`` would run without asking."""
    return call("Bash", command=f"touch {name}", description="makes a file")


@asynccontextmanager
async def connected(live: dict[str, Any], **options: Any) -> AsyncIterator[AppServerClient]:
    """A client whose last frames are in the log when the test fails."""
    begun = time.monotonic()
    frames: deque[str] = deque(maxlen=100)

    def note(arrow: str, text: str) -> None:
        frames.append(f"{time.monotonic() - begun:.3f} {arrow} {text[:400]}")

    async with letta.connect(live["url"], **options) as client:
        client.on_send(lambda command: note(">", json.dumps(command)))
        client.on_message(lambda frame, _: note("<", frame.raw_text))
        try:
            yield client
        except BaseException:
            logging.getLogger("tests.live").error("%s", "\n".join(frames))  # noqa: TRY400
            raise


async def start(client: AppServerClient, live: dict[str, Any], **fields: Any) -> Fields:
    """Starts a conversation, of an agent of its own unless ``agent_id`` is given."""
    options: dict[str, Any] = {
        "create_conversation": {"body": {}},
        "mode": "standard",
        "cwd": live["cwd"],
    }
    if "agent_id" not in fields:
        body = {"name": "live", "memory_blocks": [], "model": live["model"]}
        options["create_agent"] = {"body": body, "pin_global": False}
    started = await client.runtime_start(**{**options, **fields})
    runtime = started.runtime
    assert isinstance(runtime, Fields)
    return runtime


class Observer:
    """A second connection that watches a conversation."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self._ended = anyio.Event()

    def watch(self, frame: Message, _: str) -> None:
        """Takes note of a frame."""
        if frame.type == "turn_finished":
            self.ends.append(frame.stop_reason)
            self._ended.set()

    async def sees_the_turn_cancelled(self) -> None:
        """Demands that the server stops the turn within 3 seconds."""
        with anyio.fail_after(3):
            await self._ended.wait()
        assert self.ends == ["cancelled"]


@asynccontextmanager
async def observed(live: dict[str, Any], runtime: Fields) -> AsyncIterator[Observer]:
    """Watches a conversation. As long as it does, nobody's leaving cancels a turn by itself."""
    observer = Observer()
    async with letta.connect(live["url"]) as client:
        client.on_message(observer.watch)
        await client.sync(runtime=runtime, recover_approvals=False)
        yield observer
