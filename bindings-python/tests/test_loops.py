from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient, Message
from letta_app_client.testing import MockServer, script
from tests.helpers import RUNTIME, message, start


def test_another_loop_is_refused(mock: MockServer) -> None:
    client = letta.create_app_server_client(url=mock.url)

    async def use(work: Callable[[], Any]) -> None:
        with pytest.raises(letta.WrongLoop, match="another event loop"):
            await work()
        with pytest.raises(letta.WrongLoop):
            client.send_raw({"type": "x"})

    async def main() -> None:
        await client.connect()
        calls = (client.connect, lambda: client.sync(runtime=RUNTIME))
        for call in calls:
            await asyncio.to_thread(asyncio.run, use(call))
        await client.close()

    asyncio.run(main())
    assert mock.received == []


def test_closing_from_anywhere(mock: MockServer) -> None:
    async def main(close: Callable[[AppServerClient], Any]) -> None:
        client = await letta.connect(mock.url)
        await asyncio.to_thread(close, client)
        await client.close()
        assert client.state == "closed"

    asyncio.run(main(lambda client: client.close_nowait()))
    asyncio.run(main(lambda client: asyncio.run(client.close())))


def test_sending_from_another_thread(mock: MockServer) -> None:
    async def main() -> None:
        async with letta.connect(mock.url) as client:
            await asyncio.to_thread(client.send_raw, {"type": "from_a_thread"})
            await asyncio.to_thread(mock.wait_received, "from_a_thread")

    asyncio.run(main())
    mock.assert_received("from_a_thread", times=1)


def test_without_a_loop(mock: MockServer) -> None:
    client = letta.create_app_server_client(url=mock.url)
    with pytest.raises(letta.WrongLoop, match="no asyncio or trio"):
        client.connect().send(None)
    client.close_nowait()


def test_a_client_that_failed_to_connect_may_move_to_another_loop(mock: MockServer) -> None:
    client = letta.create_app_server_client(url="ws://127.0.0.1:1")

    async def main() -> None:
        with pytest.raises(letta.ConnectionFailed):
            await client.connect()

    asyncio.run(main())
    asyncio.run(main())
    client.close_nowait()


class ProactorLike(asyncio.SelectorEventLoop):
    """A loop that watches no sockets, like the one of Windows."""

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:  # type: ignore[override]
        if fd is not self._ssock:  # type: ignore[attr-defined]
            raise NotImplementedError
        super().add_reader(fd, callback, *args)


def test_a_loop_that_watches_no_sockets(mock: MockServer) -> None:
    async def main() -> None:
        home = threading.get_ident()
        threads: set[int] = set()
        async with letta.connect(mock.url) as client:
            client.on_message(lambda *_: threads.add(threading.get_ident()))
            runtime = await start(client)
            for _ in range(3):
                result = await client.run_turn(runtime=runtime, payload=message())
                assert result.text == "Hello world"
        assert threads == {home}

    loop = ProactorLike()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), 10))
    finally:
        loop.close()


def test_a_burst_wakes_the_loop_rarely(mock: MockServer) -> None:
    """The doorbell rings once per burst, not once per frame."""
    wakes = 0

    async def main() -> None:
        nonlocal wakes
        async with letta.connect(mock.url) as client:
            runtime = await start(client)
            drain = client._bridge._bell

            def bell() -> None:
                nonlocal wakes
                wakes += 1
                drain()

            client._bridge._bell = bell  # type: ignore[method-assign]
            client._bridge._detach()
            seen: list[Message] = []
            client.on_message(lambda frame, _: seen.append(frame))
            before = client.stats.frames
            for _ in range(2000):
                mock.push('{"type":"x"}')
            while client.stats.frames < before + 2000:
                threading.Event().wait(0.001)
            await client.sync(runtime=runtime)
            assert len(seen) > 2000

    asyncio.run(main())
    assert wakes < 20


def test_a_request_passes_few_functions(mock: MockServer) -> None:
    """They are most of what a request costs the thread of the loop."""
    calls: Counter[str] = Counter()
    package = str(Path(letta.__file__).parent)

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(package):
            calls[frame.f_code.co_name] += 1

    async def main() -> None:
        async with letta.connect(mock.url) as client:
            runtime = await start(client)
            await client.sync(runtime=runtime)
            sys.setprofile(count)
            try:
                for _ in range(100):
                    await client.sync(runtime=runtime)
            finally:
                sys.setprofile(None)

    asyncio.run(main())
    # Each of its two coroutines counts twice: it begins, and goes on once.
    assert sum(calls.values()) < 100 * 30, calls


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_is_refused(scripted: Callable[..., MockServer]) -> None:
    """Everything in the child says so, the parent's client goes on, and a new one works."""
    # The turn waits for a permission, so it cannot have ended when the process forks.
    mock = scripted(script.turn(tool_calls=[script.call("Bash", needs_approval=True)]))
    code = """
import asyncio, os, sys
import letta_app_client as letta

url = sys.argv[1]
runtime = {"agent_id": "a", "conversation_id": "c"}

def child(client, turn):
    codes = []
    for call in (
        lambda: client.send_raw({"type": "x"}),
        lambda: asyncio.run(client.sync(runtime=runtime)),
        lambda: asyncio.run(client.connect()),
        lambda: client.on_message(print),
        lambda: client.on_send(print),
        lambda: client.on_disconnect(print),
        lambda: client.on_lagged(print),
        lambda: client.on_external_tool_call(print),
        lambda: client.on_approval_request(print),
        lambda: client.send_turn(runtime=runtime, payload={}),
        lambda: turn.status,
        lambda: turn.detach(),
        lambda: turn.__await__().send(None),
        lambda: asyncio.run(anext(aiter(turn))),
        lambda: client.stats,
        lambda: client.state,
        lambda: client.next_request_id(),
        lambda: client.server_info,
    ):
        try:
            call()
        except letta.LettaAppError as error:
            codes.append(error.code)
    if repr(client) != "<AppServerClient of another process>":
        return False
    asyncio.run(client.close())
    client.close_nowait()
    del client, turn
    async def fresh():
        async with letta.connect(url) as mine:
            return (await mine.runtime_start(agent_id="a", mode="standard")).success
    return codes == ["forked_process"] * 18 and asyncio.run(fresh())

async def connected():
    client = await letta.connect(url)
    await client.runtime_start(**runtime, mode="standard")
    payload = {"kind": "create_message", "messages": [{"role": "user", "content": "hi"}]}
    return client, client.send_turn(runtime=runtime, payload=payload, approvals=decide)

go = asyncio.Event()
async def decide(request):
    await go.wait()
    return letta.allow()

loop = asyncio.new_event_loop()
client, turn = loop.run_until_complete(connected())
pid = os.fork()
if pid == 0:
    os._exit(0 if child(client, turn) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
loop.run_until_complete(client.sync(runtime=runtime))
async def end():
    go.set()
    return (await turn).status
assert loop.run_until_complete(end()) == "completed"
loop.run_until_complete(client.close())
loop.close()
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, mock.url],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [frame.type for frame in mock.received] == [
        "runtime_start",
        "input",
        "runtime_start",
        "sync",
        "input",
    ]


def test_trio_is_not_imported_unless_it_runs(mock: MockServer) -> None:
    code = """
import asyncio, sys
import letta_app_client as letta
async def main():
    async with letta.connect(sys.argv[1]):
        pass
asyncio.run(main())
assert not {"trio", "anyio", "uvloop"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code, mock.url], check=True, timeout=30)


def test_an_interrupted_handler_loses_no_completion(mock: MockServer) -> None:
    """In a notebook the loop goes on after Ctrl-C, and with it what waits."""

    class Interrupt(KeyboardInterrupt):
        pass

    loop = asyncio.new_event_loop()

    async def connected() -> tuple[AppServerClient, Any]:
        client = await letta.connect(mock.url)
        return client, await start(client)

    client, runtime = loop.run_until_complete(connected())

    def interrupted(*_: object) -> None:
        off()
        raise Interrupt

    off = client.on_message(interrupted)
    turn = loop.create_task(client.run_turn(runtime=runtime, payload=message()))
    with pytest.raises(Interrupt):
        loop.run_until_complete(turn)
    assert loop.run_until_complete(turn).text == "Hello world"
    loop.run_until_complete(client.close())
    loop.close()


def test_a_flood_leaves_room_for_others(mock: MockServer) -> None:
    async def main() -> None:
        others: list[int] = []
        seen = 0
        done = asyncio.Event()

        def count(*_: object) -> None:
            nonlocal seen
            seen += 1
            if seen == 5000:
                done.set()

        async with letta.connect(mock.url) as client:
            await start(client)
            await client.sync(runtime=RUNTIME)
            before = client.stats.frames
            client.on_message(count)
            for _ in range(5000):
                mock.push('{"type":"x"}')
            # The whole flood waits in the mailbox before the loop looks at it.
            while client.stats.frames < before + 5000:
                threading.Event().wait(0.001)
            while not done.is_set():
                others.append(seen)
                await asyncio.sleep(0)
        assert len(set(others)) >= 5

    asyncio.run(main())
