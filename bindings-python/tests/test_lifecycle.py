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

# The same from other places. A server that is silent in the handshake is made where it is needed.
SILENT = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
silent = "ws://127.0.0.1:%d" % listener.getsockname()[1]
"""

ODD_WAYS = {
    "exit_while_connecting": SILENT
    + """
async def main():
    asyncio.ensure_future(letta.create_app_server_client(url=silent).connect())
    await asyncio.get_running_loop().run_in_executor(None, listener.accept)
asyncio.run(main())
""",
    "exit_while_a_thread_connects": SILENT
    + """
from letta_app_client import sync
client = sync.create_app_server_client(url=silent)
threading.Thread(target=client.connect, daemon=True).start()
held = listener.accept()
""",
    "closed_by_threads_during_the_handshake": SILENT
    + """
async def main():
    client = letta.create_app_server_client(url=silent)
    connecting = asyncio.ensure_future(client.connect())
    held = await asyncio.get_running_loop().run_in_executor(None, listener.accept)
    threads = [threading.Thread(target=client.close_nowait) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        await connecting
    except letta.ClientClosed:
        pass
    else:
        raise AssertionError
    await asyncio.gather(client.close(), client.close())
    await client.close()
asyncio.run(main())
""",
    "closed_in_finalizers": """
import gc
class Owner:
    def __init__(self, client):
        self.client = client
    def __del__(self):
        self.client.close_nowait()
        self.client.close_nowait()
async def main():
    global kept
    client, runtime = await begin()
    ring = Owner(client)
    ring.ring = ring
    turn = client.send_turn(runtime=runtime, payload=payload)
    del ring, client
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join()
    try:
        await turn
    except letta.TurnInterrupted:
        pass
    else:
        raise AssertionError
    # This one is finalized by the interpreter, when modules are torn down.
    kept = Owner((await begin())[0])
    kept.ring = kept
asyncio.run(main())
""",
    "closed_at_exit": """
import atexit
async def main():
    client, runtime = await begin()
    atexit.register(client.close_nowait)
    client.send_turn(runtime=runtime, payload=payload)
asyncio.run(main())
""",
    "a_thread_with_an_open_turn": """
from letta_app_client import sync
ready = threading.Event()
def work():
    client = sync.connect(url).__enter__()
    session = client.session(agent_id="a")
    for _ in session.stream("hi"):
        ready.set()
threading.Thread(target=work, daemon=True).start()
assert ready.wait(20)
""",
    "forked_with_an_open_turn": """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
async def main():
    client, runtime = await begin()
    turn = client.send_turn(runtime=runtime, payload=payload)
    await client.sync(runtime=runtime)
    child = os.fork()
    if child == 0:
        try:
            client.close_nowait()
            client.send_raw({"type": "x"})
        except letta.ForkedProcess:
            pass
        # The client goes with the interpreter.
        raise SystemExit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    # The parent's connection is as it was.
    await client.sync(runtime=runtime)
    await client.close()
asyncio.run(main())
""",
    "exit_in_a_handler": """
async def main():
    client, runtime = await begin()
    def leave(*_):
        off()  # asyncio cannot end twice
        sys.exit(0)
    off = client.on_message(leave, types="stream_delta")
    await client.run_turn(runtime=runtime, payload=payload)
asyncio.run(main())
""",
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("way", "times"), [*((way, 25) for way in WAYS), *((way, 2) for way in ODD_WAYS)]
)
def test_processes_end_quietly(way: str, times: int) -> None:
    # Frames keep coming while the process ends.
    turn = script.turn(["tok "] * 10_000, delay_ms=1)

    def run(url: str) -> tuple[int, str]:
        command = [sys.executable, "-c", COMMON + {**WAYS, **ODD_WAYS}[way], url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr

    with MockServer([turn]) as mock, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, [mock.url] * times)) == [(0, "")] * times
