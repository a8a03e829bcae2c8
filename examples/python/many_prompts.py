"""Many questions at once, each in a conversation of its own, a few at a time."""

import asyncio
import os
import sys

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}
PROMPTS = [f"Describe the number {number} in one sentence." for number in range(1, 7)]


def show(done: int, total: int) -> None:
    """Where tqdm is installed, ``progress=True`` shows a bar instead."""
    print(f"{done} of {total}", end="\n" if done == total else "\r", file=sys.stderr)


async def main() -> None:
    async with letta.connect(URL) as client, client.session(create_agent=AGENT) as first:
        # Several agents would be asked in turn.
        agents = [first.agent_id]
        batch = await letta.map(client, PROMPTS, agents=agents, limit=3, progress=show, timeout=300)
    for item in batch:
        print(f"{item.prompt} -> {item.text if item.error is None else item.error}")
    print(f"[{len(batch.errors)} failed, {batch.usage.total_tokens} tokens]")


asyncio.run(main())
