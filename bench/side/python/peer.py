"""A client written by hand: ``peer.py LIBRARY LOOP URL WORKLOAD SIZES``; see ``workloads.py``."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
from typing import Any

from session import Session
from transports import CONNECT
from usage import Usage, status_kib


async def started(session: Session, count: int) -> list[dict[str, Any]]:
    """Starts so many runtimes, 64 at a time."""
    limit = asyncio.Semaphore(64)

    async def start(number: int) -> Any:
        async with limit:
            return await session.request(
                {
                    "type": "runtime_start",
                    "agent_id": "a",
                    "conversation_id": f"c-{number}",
                    "mode": "standard",
                }
            )

    answers = await asyncio.gather(*map(start, range(count)))
    return [
        {"agent_id": it["agent_id"], "conversation_id": it["conversation_id"]} for it in answers
    ]


async def stream(session: Session, sizes: dict[str, int]) -> None:
    seen = characters = 0

    def on_text(kind: str, message_type: str, text: str) -> None:
        nonlocal seen, characters
        if kind == "stream_delta" and message_type == "assistant_message":
            seen += 1
            characters += len(text)

    session.on_text = on_text
    [runtime] = await started(session, 1)
    await session.turn(runtime)
    usage, before = Usage(), seen
    for _ in range(sizes["turns"]):
        await session.turn(runtime)
    usage.report(seen - before)
    assert seen == sizes["deltas"] * (sizes["turns"] + 1), seen
    assert characters > seen


async def turns(session: Session, sizes: dict[str, int]) -> None:
    runtimes = await started(session, sizes["runtimes"])
    await asyncio.gather(*map(session.turn, runtimes[:64]))
    usage = Usage()

    async def several(runtime: dict[str, Any]) -> None:
        for _ in range(sizes["turns"]):
            assert await session.turn(runtime)

    await asyncio.gather(*map(several, runtimes))
    usage.report(sizes["turns"] * len(runtimes))


async def requests(session: Session, sizes: dict[str, int]) -> None:
    times = []

    async def worker(count: int) -> None:
        for _ in range(count):
            start = time.perf_counter()
            await session.request({"type": "conversation_list"})
            times.append(time.perf_counter() - start)

    await worker(200)
    each = sizes["count"] // sizes["outstanding"]
    usage, _ = Usage(), times.clear()
    await asyncio.gather(*(worker(each) for _ in range(sizes["outstanding"])))
    usage.report(len(times), times)


async def outputs(session: Session, sizes: dict[str, int]) -> None:
    seen: list[int] = []
    session.on_output = lambda text: seen.append(len(text))
    [runtime] = await started(session, 1)
    await session.turn(runtime)
    usage, _ = Usage(), seen.clear()
    for _ in range(sizes["turns"]):
        await session.turn(runtime)
    usage.report(len(seen))
    assert len(seen) == sizes["turns"] * sizes["outputs"], seen


async def idle(library: str, url: str, sizes: dict[str, int]) -> None:
    held = [await CONNECT[library](url) for _ in range(10)]
    before, usage = status_kib("VmRSS:"), Usage()
    held += [await CONNECT[library](url) for _ in range(sizes["connections"])]
    for session, _ in held:
        await session.request({"type": "conversation_list"})
    usage.report(
        sizes["connections"], [(status_kib("VmRSS:") - before) / sizes["connections"] / 1e6]
    )


async def main(library: str, url: str, workload: str, sizes: dict[str, int]) -> None:
    if workload == "idle":
        await idle(library, url, sizes)
        return
    session, close = await CONNECT[library](url)
    await globals()[workload](session, sizes)
    done = close()
    if inspect.isawaitable(done):
        await done


if __name__ == "__main__":
    name, loop, *arguments, sizes_text = sys.argv[1:]
    if loop == "uvloop":
        import uvloop as runner
    else:
        runner = asyncio
    runner.run(main(name, *arguments, json.loads(sizes_text)))
