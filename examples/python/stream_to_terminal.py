"""A turn on the terminal while it runs: the text as it comes, and the tools that are called."""

import asyncio
import os

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}


async def main() -> None:
    async with letta.connect(URL) as client, client.session(create_agent=AGENT) as session:
        async for event in session.stream("How many files are in this folder?"):
            match event:
                case letta.AssistantDelta(text):
                    print(text, end="", flush=True)
                case letta.ToolCallStart(name):
                    print(f"[{name} is called]", flush=True)
                case letta.ToolCallEnd(output, status):
                    print(f"[{status}: {output.strip()}]", flush=True)
                case letta.TurnFinished(result):
                    print(f"\n[{result.status}, {result.usage.completion_tokens} tokens]")
                case _:
                    pass  # queueing, reasoning, retries and more


asyncio.run(main())
