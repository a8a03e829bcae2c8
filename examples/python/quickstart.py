"""One turn: start a runtime, ask, print the answer."""

import asyncio
import os

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")


async def main() -> None:
    async with letta.connect(URL) as client:
        started = await client.runtime_start(
            create_agent={"body": {"name": "helper", "model": MODEL}, "pin_global": False},
            create_conversation={"body": {}},
            mode="standard",
        )
        result = await client.run_turn(
            runtime=started.runtime,
            payload={
                "kind": "create_message",
                "messages": [{"role": "user", "content": "Summarize the tests. N=3"}],
            },
        )
        print(result.stop_reason, repr(result.text), result.usage.total_tokens)


asyncio.run(main())
