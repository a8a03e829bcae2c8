"""Permissions: what the agent may do is asked on the terminal, one y or n each time."""

import asyncio
import os

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}


# No coroutine: it runs in a thread, and the event loop stays free while somebody thinks.
def decide(request: letta.ApprovalRequest) -> letta.Decision:
    question = f"{request.tool_name} {request.input.to_dict()}? [y/n] "
    try:
        answer = input(question)
    except EOFError:
        answer = ""
    if answer.strip().lower() in ("y", "yes"):
        return letta.allow()
    return letta.deny("the user denied it")


async def main() -> None:
    async with (
        letta.connect(URL) as client,
        client.session(create_agent=AGENT, mode="standard", approvals=decide) as session,
    ):
        result = await session.run("Tidy up this folder.")
        for call in result.tool_calls:
            print(f"{call.name}: {call.status}")
        print(result.text)


asyncio.run(main())
