"""Watching a conversation that somebody else leads: here another client in the same program."""

import asyncio
import os

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}


def text_of(content: str | list[letta.Fields]) -> str:
    """A message is a text, or a list of parts of which some are."""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")


async def watch(
    client: letta.AppServerClient, runtime: letta.Fields, watching: asyncio.Event
) -> None:
    async with client.messages("stream_delta", runtime=runtime) as messages:
        # The server tells a client only of the runtimes that it has asked for.
        await client.sync(runtime=runtime, recover_approvals=False)
        watching.set()
        async for message in messages:
            match message.delta:
                case letta.protocol.AssistantMessageDelta(content):
                    print(text_of(content), end="", flush=True)
                case letta.protocol.StopReasonDelta(reason) if reason != "requires_approval":
                    print(f"\n[{reason}]")
                    return
                case _:
                    pass


async def main() -> None:
    async with (
        letta.connect(URL) as leader,
        letta.connect(URL) as watcher,
        leader.session(create_agent=AGENT) as session,
    ):
        watching = asyncio.Event()
        seen = asyncio.create_task(watch(watcher, session.runtime, watching))
        await watching.wait()
        await session.run("Say hello to whoever listens.")
        await seen


asyncio.run(main())
