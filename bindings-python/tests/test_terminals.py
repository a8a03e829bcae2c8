from __future__ import annotations

import gc
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient, Terminal
from letta_app_client.testing import MockServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(mock: MockServer) -> AsyncIterator[AppServerClient]:
    async with letta.connect(mock.url) as client:
        # With an answer the server knows the client; without it could miss what is pushed.
        await client.info()
        yield client


def output(terminal_id: str, data: str) -> dict[str, Any]:
    return {"type": "terminal_output", "terminal_id": terminal_id, "data": data}


async def received(mock: MockServer, kind: str) -> Any:
    """The last frame of a type, once there is one."""
    assert await anyio.to_thread.run_sync(mock.wait_received, kind)
    return [frame for frame in mock.received if frame.type == kind][-1]


async def answer(mock: MockServer, *frames: dict[str, Any]) -> None:
    """Says that the terminal runs, and more right behind that."""
    terminal_id = (await received(mock, "terminal_spawn")).terminal_id
    mock.push({"type": "terminal_spawned", "terminal_id": terminal_id, "pid": 42})
    for frame in frames:
        mock.push({"terminal_id": terminal_id, **frame})


async def opened(client: AppServerClient, mock: MockServer, *frames: dict[str, Any]) -> Terminal:
    async with anyio.create_task_group() as group:
        group.start_soon(answer, mock, *frames)
        terminal = await client.terminals.open(cols=100, cwd="/project")
    return terminal  # noqa: RET504 - type checkers think the group may suppress exceptions


async def test_output_up_to_the_exit_and_what_comes_after_it(
    client: AppServerClient, mock: MockServer
) -> None:
    terminal = await opened(
        client,
        mock,
        {"type": "terminal_output", "data": "$ "},
        output("another", "not mine"),
        {"type": "terminal_exited", "exitCode": 3},
        {"type": "terminal_output", "data": "exit\r\n"},
    )
    spawn = await received(mock, "terminal_spawn")
    assert (spawn.cols, spawn.rows, spawn.cwd) == (100, 24, "/project")
    assert (terminal.pid, terminal.terminal_id) == (42, spawn.terminal_id)
    codes = [terminal.exit_code]
    assert [text async for text in terminal] == ["$ ", "exit\r\n"]
    assert [*codes, terminal.exit_code] == [None, 3]
    assert [text async for text in terminal] == []
    await terminal.aclose()
    await client.info()
    assert "terminal_kill" not in [frame.type for frame in mock.received]


async def test_what_is_typed_and_the_size(client: AppServerClient, mock: MockServer) -> None:
    async with await opened(client, mock) as terminal:
        assert await terminal is terminal
        terminal.write("ls\n")
        terminal.resize(120, 40)
        typed = await received(mock, "terminal_input")
        assert (typed.data, typed.terminal_id) == ("ls\n", terminal.terminal_id)
        resized = await received(mock, "terminal_resize")
        assert (resized.cols, resized.rows) == (120, 40)
    assert (await received(mock, "terminal_kill")).terminal_id == terminal.terminal_id


async def test_a_kill_ends_the_output_without_an_exit(
    client: AppServerClient, mock: MockServer
) -> None:
    terminal = await opened(client, mock, {"type": "terminal_output", "data": "$ "})
    assert await anext(terminal) == "$ "
    terminal.kill()
    mock.push(output(terminal.terminal_id, "last words"))
    assert [text async for text in terminal] == ["last words"]
    assert terminal.exit_code is None
    mock.assert_received("terminal_kill", times=1)


async def test_a_thread_kills_a_terminal_that_is_read(
    client: AppServerClient, mock: MockServer
) -> None:
    terminal = await opened(client, mock, output("another", "not mine"))
    began = time.monotonic()
    # Nothing else happens on the loop meanwhile.
    threading.Timer(0.2, terminal.kill).start()
    with anyio.fail_after(10):
        assert [text async for text in terminal] == []
    assert time.monotonic() - began < 5
    mock.assert_received("terminal_kill", times=1)


async def test_a_terminal_that_cannot_start(client: AppServerClient, mock: MockServer) -> None:
    async def refuse() -> None:
        terminal_id = (await received(mock, "terminal_spawn")).terminal_id
        failure = {"exitCode": 1, "error": "no such directory"}
        mock.push({"type": "terminal_exited", "terminal_id": terminal_id, **failure})

    async with anyio.create_task_group() as group:
        group.start_soon(refuse)
        terminal = client.terminals.open()
        with pytest.raises(RuntimeError, match="not started"):
            terminal.write("x")
        with pytest.raises(RuntimeError, match="not started"):
            terminal.resize(1, 1)
        with pytest.raises(RuntimeError, match="not started"):
            terminal.kill()
        with pytest.raises(letta.RequestError, match="no such directory"):
            await terminal
    with pytest.raises(RuntimeError, match="its start failed"):
        await terminal


async def test_a_start_that_is_cancelled_leaves_no_terminal(
    client: AppServerClient, mock: MockServer
) -> None:
    async with anyio.create_task_group() as group:

        async def begin() -> None:
            await client.terminals.open()

        group.start_soon(begin)
        await received(mock, "terminal_spawn")
        group.cancel_scope.cancel()
    await received(mock, "terminal_kill")


async def test_a_dropped_terminal_is_killed(client: AppServerClient, mock: MockServer) -> None:
    terminal = await opened(client, mock)
    del terminal
    gc.collect()
    await received(mock, "terminal_kill")


async def test_a_lost_connection_and_a_closed_client_end_it(
    client: AppServerClient, mock: MockServer
) -> None:
    terminal = await opened(client, mock, {"type": "terminal_output", "data": "$ "})
    assert await anext(terminal) == "$ "
    mock.cut_connections()
    with pytest.raises(letta.Disconnected):
        await anext(terminal)
    await terminal.aclose()
    async with letta.connect(mock.url) as other:
        await other.info()
        second = other.terminals.open()
        async with anyio.create_task_group() as group:

            async def answer_again() -> None:
                await anyio.to_thread.run_sync(mock.wait_received, "terminal_spawn", 2)
                spawn = [frame for frame in mock.received if frame.type == "terminal_spawn"][-1]
                pid = {"type": "terminal_spawned", "pid": 1}
                mock.push({"terminal_id": spawn.terminal_id, **pid})

            group.start_soon(answer_again)
            await second
    assert [text async for text in second] == []
