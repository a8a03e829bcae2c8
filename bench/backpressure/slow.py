"""Readers that take one item per millisecond of a flood, beside a fast one: `slow.py URL DELTAS`.

Prints what each of them got, merged and missed, and by how much the process grew, as JSON.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import letta_app_client as letta
from letta_app_client import protocol

PAYLOAD = {"kind": "create_message", "messages": [{"role": "user", "content": "?"}]}
MILLISECOND = 0.001
PATIENCE = 30
"""Seconds for what waits at the end of the flood."""


def memory() -> int:
    """KiB that are resident."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


class Flood:
    """A turn of many deltas and those who read it."""

    def __init__(self, client: letta.AppServerClient, runtime: letta.Fields) -> None:
        self.begin = time.monotonic()
        self.memory = self.most_memory = memory()
        self.over = asyncio.Event()
        self.all = client.messages()
        self.few = client.messages("stream_delta", limit=10_000)
        self.ends = client.messages("turn_finished", limit=1)
        self.turn = client.send_turn(runtime=runtime, payload=PAYLOAD)
        self.client = client

    async def pause(self) -> None:
        if not self.over.is_set():
            await asyncio.sleep(MILLISECOND)

    async def fast(self) -> list[int]:
        """Everything, as it comes; how many deltas there were."""
        frames = deltas = 0
        async for frame in self.all:
            frames += 1
            # By its class: to look at a field would parse the frame, for all readers that keep it.
            deltas += isinstance(frame, protocol.StreamDeltaMessage)
            if frames % 1000 == 0:
                self.most_memory = max(self.most_memory, memory())
            if isinstance(frame, protocol.TurnFinishedMessage):
                break
        self.over.set()
        return [deltas, deltas, 0, self.all.dropped]

    async def slow_turn(self, sent: int) -> list[int]:
        given = merged = dropped = 0
        async for event in self.turn:
            match event:
                case letta.AssistantDelta():
                    given += 1
                case letta.EventsDropped():
                    merged += event.merged
                    dropped += event.dropped
            await self.pause()
        return [sent, given, merged, dropped]

    async def slow_frames(self) -> list[int]:
        given = 0
        async for _ in self.few:
            given += 1
            await self.pause()
            # What waits is all that comes, once the flood is over.
            if self.over.is_set() and given + self.few.dropped >= self.sent:
                break
        return [self.sent, given, 0, self.few.dropped]

    sent = sys.maxsize
    """Deltas of all kinds; known once the fast reader is done."""

    async def run(self, deltas: int) -> dict[str, object]:
        turn = asyncio.create_task(self.slow_turn(deltas))
        frames = asyncio.create_task(self.slow_frames())
        fast = await self.fast()
        self.sent = fast[0]
        seconds = time.monotonic() - self.begin
        async with asyncio.timeout(PATIENCE):
            rows = {"turn": await turn, "frames": await frames, "fast": fast}
            end = await anext(self.ends)
            result = await self.turn
        self.most_memory = max(self.most_memory, memory())
        return {
            "seconds": seconds,
            "memory": [self.memory, self.most_memory],
            "readers": rows,
            "finished": end.type == "turn_finished" and result.status == "completed",
            "bytes": len(result.text),
        }


async def main(url: str, deltas: int) -> None:
    async with letta.connect(url) as client:
        started = await client.runtime_start(agent_id="a", mode="standard")
        assert started.runtime is not None
        print(json.dumps(await Flood(client, started.runtime).run(deltas)))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
