"""Short processes that end in every state: with exit code 0 and nothing on standard error."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from letta_app_client.testing import MockServer, script

COMMON = """
import asyncio, sys, threading
import letta_app_client as letta

url = sys.argv[1]
payload = {"kind": "create_message", "messages": [{"role": "user", "content": "hi"}]}

async def begin():
    client = await letta.connect(url)
    client.on_message(lambda *_: None)
    started = await client.runtime_start(agent_id="a", mode="standard")
    return client, started.runtime
"""

WAYS = {
    "awaited": """
async def main():
    client, runtime = await begin()
    for _ in range(3):
        await client.sync(runtime=runtime)
    await client.close()
asyncio.run(main())
""",
    "pending": """
async def main():
    client, runtime = await begin()
    loop = asyncio.get_running_loop()
    waiting = [
        loop.create_task(client.run_turn(runtime=runtime, payload=payload)),
        loop.create_task(client.request("list_models")),
    ]
    await client.sync(runtime=runtime)
    return waiting
asyncio.run(main())
""",
    "followed": """
async def main():
    global client, turn, stream
    client, runtime = await begin()
    turn = client.send_turn(runtime=runtime, payload=payload)
    stream = aiter(turn)
    await anext(stream)
asyncio.run(main())
""",
    "followed_on_trio": """
import trio
async def main():
    global client, turn, stream
    client, runtime = await begin()
    turn = client.send_turn(runtime=runtime, payload=payload)
    stream = aiter(turn)
    await anext(stream)
trio.run(main)
""",
    "never_closed": """
async def main():
    global client
    client, runtime = await begin()
    await client.sync(runtime=runtime)
asyncio.run(main())
""",
    "daemon": """
ready = threading.Event()
async def main():
    client, runtime = await begin()
    asyncio.ensure_future(client.run_turn(runtime=runtime, payload=payload))
    await client.sync(runtime=runtime)
    ready.set()
    await asyncio.sleep(3600)
threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
assert ready.wait(20)
""",
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("way", WAYS)
def test_processes_end_quietly(way: str) -> None:
    # Frames keep coming while the process ends.
    turn = script.turn(["tok "] * 10_000, delay_ms=1)

    def run(url: str) -> tuple[int, str]:
        command = [sys.executable, "-c", COMMON + WAYS[way], url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr

    with MockServer([turn]) as mock, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, [mock.url] * 25)) == [(0, "")] * 25
