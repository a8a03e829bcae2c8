"""A chat: every line of the standard input is a question; the end of the input ends it."""

import asyncio
import os
import sys

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}


async def main() -> None:
    async with letta.connect(URL) as client, client.session(create_agent=AGENT) as session:
        # The line is awaited in a thread, so that the event loop stays free.
        while line := await asyncio.to_thread(sys.stdin.readline):
            if not line.strip():
                continue
            turn = session.send(line.strip())
            async for text in turn.stream_text():
                print(text, end="", flush=True)
            print()
            result = await turn
            if result.status != "completed":
                # The conversation can go on all the same.
                print(f"[{result.status}: {result.error}]")
        print(f"[{session.usage.total_tokens} tokens in all]")


asyncio.run(main())
