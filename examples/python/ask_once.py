"""One question to a new agent, and its answer."""

import asyncio
import os

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}


async def main() -> None:
    async with letta.connect(URL) as client, client.session(create_agent=AGENT) as session:
        result = await session.run("Which planet is the largest?")
        print(result.text)
        print(f"[{result.stop_reason}, {result.usage.total_tokens} tokens]")


asyncio.run(main())
