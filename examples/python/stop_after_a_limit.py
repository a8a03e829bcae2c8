"""A time limit: the turn is stopped on the server, and what it had said by then is shown."""

import asyncio
import os

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}
SECONDS = float(os.environ.get("SECONDS", "10"))


async def main() -> None:
    async with letta.connect(URL) as client, client.session(create_agent=AGENT) as session:
        try:
            result = await session.run("Tell a very long story.", timeout=SECONDS)
        except letta.TurnTimeout as error:
            print(f"[stopped after {SECONDS:g} s]")
            # What is known of the turn: its text, its tool calls, what it has used.
            if error.result is not None:
                print(error.result.text)
                print(f"[{len(error.result.tool_calls)} tool calls]")
        else:
            print(result.text)


asyncio.run(main())
