"""Many questions at once, each in a conversation of its own, a few at a time."""

import asyncio
import os

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}
PROMPTS = [f"Describe the number {number} in one sentence." for number in range(1, 7)]
AT_ONCE = 3


async def ask(client: letta.AppServerClient, agent_id: str, prompt: str) -> str:
    async with client.session(agent_id=agent_id) as session:
        result = await session.run(prompt, timeout=300, check=False)
        return result.text if result.status == "completed" else f"[{result.error}]"


async def main() -> None:
    slots = asyncio.Semaphore(AT_ONCE)
    async with letta.connect(URL) as client, client.session(create_agent=AGENT) as first:

        async def in_turn(prompt: str) -> str:
            async with slots:
                return await ask(client, first.agent_id, prompt)

        answers = await asyncio.gather(*(in_turn(prompt) for prompt in PROMPTS))
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        print(f"{prompt} -> {answer}")


asyncio.run(main())
