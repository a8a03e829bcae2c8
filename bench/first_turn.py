"""What the first turn on an open connection takes, beside one by hand (``make first-turn``).

The server double answers at once, so what is left is the client's. Fails where ours takes more
than two milliseconds longer.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
DOUBLE = HERE.parent / "target/release/double"
RUNS = 15
ALLOWED = 2.0
"""Milliseconds."""

sys.path.insert(0, str(HERE / "side/python"))


async def ours(url: str) -> float:
    """Milliseconds of a first turn of the package."""
    import letta_app_client as letta

    async with letta.connect(url) as client:
        started = await client.runtime_start(agent_id="a", conversation_id="c-1", mode="standard")
        payload = {"kind": "create_message", "messages": [{"role": "user", "content": "go"}]}
        start = time.perf_counter()
        await client.run_turn(runtime=started.runtime, payload=payload)
        return (time.perf_counter() - start) * 1000


async def bare(url: str) -> float:
    """Milliseconds of a first turn written by hand on ``picows`` and ``msgspec``."""
    from peer import started
    from transports import CONNECT

    session, close = await CONNECT["picows"](url)
    [runtime] = await started(session, 1)
    start = time.perf_counter()
    await session.turn(runtime)
    took = (time.perf_counter() - start) * 1000
    close()
    return took


def once(way: str) -> float:
    """One run in a process of its own, with a server of its own."""
    with subprocess.Popen([DOUBLE, "--deltas", "1"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            command = [sys.executable, __file__, way, url]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        finally:
            server.kill()
    return float(json.loads(done.stdout))


def main() -> int:
    pairs = [(once("bare"), once("ours")) for _ in range(RUNS)]
    base, first = map(min, zip(*pairs, strict=True))
    more = first - base
    print(
        f"first turn: {first:.2f} ms; by hand: {base:.2f} ms; {more:.2f} ms more,"
        f" {ALLOWED:.0f} are allowed (the best of {RUNS} runs)"
    )
    return 0 if more <= ALLOWED else 1


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(asyncio.run({"ours": ours, "bare": bare}[sys.argv[1]](sys.argv[2]))))
    else:
        sys.exit(main())
