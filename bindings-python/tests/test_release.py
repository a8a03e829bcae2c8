"""A closed client leaves nothing behind, also when no garbage collection comes by."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import weakref
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trio

import letta_app_client as letta
from letta_app_client import AppServerClient
from letta_app_client.testing import MockServer, script
from tests.helpers import message, start


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_a_closed_client_is_let_go(mock: MockServer) -> None:
    async def main() -> weakref.ref[AppServerClient]:
        async with letta.connect(mock.url) as client:
            client.on_message(lambda *_: None)
            await start(client)
            return weakref.ref(client)

    async def all_of_it() -> None:
        # The engine's own descriptors come with the first client and stay.
        await main()
        before = open_files()
        for _ in range(20):
            gone = await main()
            gc.collect()
            assert gone() is None
        assert open_files() <= before + 2

    asyncio.run(all_of_it())


@pytest.fixture
def no_gc() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files there")
@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("run", [lambda main: asyncio.run(main()), trio.run])
def test_closed_clients_keep_no_descriptors(run: Callable[..., object]) -> None:
    """Neither those that are kept nor those that are dropped, and none that never connected."""
    kept: list[AppServerClient] = []

    async def one(url: str) -> None:
        client = await letta.connect(url)
        client.on_message(lambda *_: None)
        await client.close()
        kept.append(client)

    async def dropped(url: str) -> None:
        async with letta.connect(url) as client:
            client.on_message(lambda *_: None)
            await client.info()

    async def failed(_: str) -> None:
        with pytest.raises(letta.ConnectionFailed):
            await letta.connect("ws://127.0.0.1:1")

    def cycles(way: Callable[[str], Awaitable[None]], times: int) -> None:
        async def main() -> None:
            for _ in range(times):
                await way(mock.url)

        # The server's own descriptors are gone at its end.
        with MockServer() as mock:
            run(main)

    for way in (one, dropped, failed):
        cycles(way, 2)
        before = open_files()
        cycles(way, 300)
        assert open_files() <= before + 3, way.__name__
    assert {client.state for client in kept} == {"closed"}


@pytest.mark.usefixtures("no_gc")
def test_a_closed_client_is_freed_with_its_last_name(mock: MockServer) -> None:
    async def main() -> None:
        client = await letta.connect(mock.url)
        client.on_message(lambda *_: None)
        await client.close()
        await client.close()
        gone = weakref.ref(client)
        del client
        assert gone() is None

    asyncio.run(main())


@pytest.mark.usefixtures("no_gc")
def test_a_turn_keeps_no_closed_client(mock: MockServer) -> None:
    async def main() -> None:
        client = await letta.connect(mock.url)
        runtime = await start(client)
        turn = client.send_turn(
            runtime=runtime, payload=message(), approvals=lambda _: letta.allow()
        )
        async for _ in turn:
            pass
        lost = client.send_turn(runtime=runtime, payload=message(), approvals="raise")
        await client.close()
        with pytest.raises(letta.LettaAppError):
            await lost
        gone = weakref.ref(client)
        del client
        assert gone() is None
        assert turn.status == "completed"

    asyncio.run(main())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files there")
def test_connections_and_turns_leave_no_thread_and_no_descriptor() -> None:
    """`make endurance` does the same a thousand times, and looks at the memory."""
    program = Path(__file__).parents[2] / "bench" / "endurance" / "cycles.py"
    with MockServer([script.turn(["piece "] * 20)]) as mock:
        command = [sys.executable, str(program), mock.url, "50"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for what, held in json.loads(done.stdout).items():
        for kind in ("threads", "descriptors"):
            before, after = held[kind]
            assert after == before > 0, (what, kind)
