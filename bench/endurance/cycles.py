"""Connects and closes so often, then runs so many turns: `cycles.py URL TIMES`.

Prints what the process holds at the beginning, half-way and at the end of each, as JSON.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import letta_app_client as letta

PROCESS = Path("/proc/self")
PAYLOAD = {"kind": "create_message", "messages": [{"role": "user", "content": "?"}]}


def threads() -> int:
    return len(list((PROCESS / "task").iterdir()))


def descriptors() -> int:
    # The one that lists the folder is among them, every time.
    return len(list((PROCESS / "fd").iterdir()))


def memory() -> int:
    """KiB that are resident."""
    gc.collect()
    lines = (PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def measured(one: Callable[[], Awaitable[None]], times: int) -> dict[str, list[int]]:
    # What the package keeps for the life of the process comes with the first.
    await one()
    before = (threads(), descriptors())
    resident = [memory()]
    for _ in range(2):
        for _ in range(times // 2):
            await one()
        resident.append(memory())
    # The socket is closed by a thread of the package, which may need a moment more.
    patience = time.monotonic() + 5
    # The kernel rings no bell.
    while (after := (threads(), descriptors())) != before and time.monotonic() < patience:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return {
        "threads": [before[0], after[0]],
        "descriptors": [before[1], after[1]],
        "memory": resident,
    }


async def main(url: str, times: int) -> None:
    async def connection() -> None:
        async with letta.connect(url) as client:
            client.on_message(lambda *_: None)
            await client.runtime_start(agent_id="a", mode="standard")

    connections = await measured(connection, times)
    async with letta.connect(url, settle_pause=0) as client:
        started = await client.runtime_start(agent_id="a", mode="standard")
        fields = {"runtime": started.runtime, "payload": PAYLOAD}

        async def turn() -> None:
            handle = client.send_turn(**fields)
            events = [event async for event in handle]
            assert isinstance(events[-1], letta.TurnFinished)
            assert (await handle).status == "completed"

        turns = await measured(turn, times)
    print(json.dumps({"connections": connections, "turns": turns}))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
