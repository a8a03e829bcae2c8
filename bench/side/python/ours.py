"""The Python package: ``ours.py WAY LOOP URL WORKLOAD SIZES``; see ``workloads.py``."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from usage import Usage, status_kib

import letta_app_client as letta

PAYLOAD = {"kind": "create_message", "messages": [{"role": "user", "content": "go"}]}


async def started(client: letta.AppServerClient, count: int) -> list[Any]:
    limit = asyncio.Semaphore(64)

    async def start(number: int) -> Any:
        async with limit:
            answer = await client.runtime_start(
                agent_id="a", conversation_id=f"c-{number}", mode="standard"
            )
            return answer.runtime

    return await asyncio.gather(*map(start, range(count)))


async def stream(client: letta.AppServerClient, sizes: dict[str, int], way: str) -> None:
    seen = characters = 0
    [runtime] = await started(client, 1)

    def on_message(message: Any, _channel: str) -> None:
        nonlocal seen, characters
        delta = message.delta
        if message.type == "stream_delta" and delta.message_type == "assistant_message":
            seen += 1
            characters += sum(len(part.text) for part in delta.content)

    async def turn() -> None:
        nonlocal seen, characters
        if way == "messages":
            await client.run_turn(runtime=runtime, payload=PAYLOAD)
            return
        async for event in client.send_turn(runtime=runtime, payload=PAYLOAD):
            match event:
                case letta.AssistantDelta(text=text):
                    seen += 1
                    characters += len(text)

    if way == "messages":
        client.on_message(on_message, types="stream_delta")
    await turn()
    usage, before = Usage(), seen
    for _ in range(sizes["turns"]):
        await turn()
    usage.report(seen - before)
    assert seen == sizes["deltas"] * (sizes["turns"] + 1), seen
    assert characters > seen


async def turns(client: letta.AppServerClient, sizes: dict[str, int], _way: str) -> None:
    runtimes = await started(client, sizes["runtimes"])

    async def several(runtime: Any, count: int) -> None:
        for _ in range(count):
            result = await client.run_turn(runtime=runtime, payload=PAYLOAD)
            assert result.text

    await asyncio.gather(*(several(it, 1) for it in runtimes[:64]))
    usage = Usage()
    await asyncio.gather(*(several(it, sizes["turns"]) for it in runtimes))
    usage.report(sizes["turns"] * len(runtimes))


async def requests(client: letta.AppServerClient, sizes: dict[str, int], _way: str) -> None:
    times = []

    async def worker(count: int) -> None:
        for _ in range(count):
            start = time.perf_counter()
            await client.conversation_list()
            times.append(time.perf_counter() - start)

    await worker(200)
    each = sizes["count"] // sizes["outstanding"]
    usage, _ = Usage(), times.clear()
    await asyncio.gather(*(worker(each) for _ in range(sizes["outstanding"])))
    usage.report(len(times), times)


async def outputs(client: letta.AppServerClient, sizes: dict[str, int], _way: str) -> None:
    seen: list[int] = []
    [runtime] = await started(client, 1)

    async def turn() -> None:
        async for event in client.send_turn(runtime=runtime, payload=PAYLOAD):
            match event:
                case letta.ToolCallEnd(output=output):
                    seen.append(len(output))

    await turn()
    usage, _ = Usage(), seen.clear()
    for _ in range(sizes["turns"]):
        await turn()
    usage.report(len(seen))
    assert len(seen) == sizes["turns"] * sizes["outputs"], seen


async def idle(url: str, sizes: dict[str, int]) -> None:
    held = [await letta.connect(url) for _ in range(10)]
    before, usage = status_kib("VmRSS:"), Usage()
    held += [await letta.connect(url) for _ in range(sizes["connections"])]
    for client in held:
        await client.conversation_list()
    usage.report(
        sizes["connections"], [(status_kib("VmRSS:") - before) / sizes["connections"] / 1e6]
    )
    for client in held:
        await client.close()


async def main(way: str, url: str, workload: str, sizes: dict[str, int]) -> None:
    if workload == "idle":
        await idle(url, sizes)
        return
    async with letta.connect(url, settle_pause=0) as client:
        await globals()[workload](client, sizes, way)


if __name__ == "__main__":
    name, loop, *arguments, sizes_text = sys.argv[1:]
    if loop == "uvloop":
        import uvloop as runner
    else:
        runner = asyncio
    runner.run(main(name, *arguments, json.loads(sizes_text)))
