"""How a server of your own has ended. A small program stands in for it."""

from __future__ import annotations

import functools
import gc
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import sync
from tests.test_server import COMMAND, STAND_IN, pid_in, runs

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in is told to end by signals")

KILLED = letta.ServerExit(code=None, signal=9)


def waiting() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "letta-app-client-wait"]


@pytest.mark.anyio
async def test_all_who_wait_learn_how_it_has_ended(tmp_path: Path) -> None:
    async with letta.spawn_server(COMMAND, cwd=tmp_path) as server:
        assert server.exited() is None
        told: list[letta.ServerExit] = []

        async def wait() -> None:
            told.append(await server.wait_exited())

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)
            os.kill(pid_in(tmp_path), signal.SIGKILL)
        assert told == [KILLED, KILLED]
        assert server.exited() == KILLED
        assert await server.wait_exited() == KILLED


@pytest.mark.anyio
async def test_one_that_is_closed_has_ended_too(tmp_path: Path) -> None:
    server = await letta.spawn_server(COMMAND, cwd=tmp_path)
    await server.close()
    # It is asked to end by a signal.
    assert await server.wait_exited() == letta.ServerExit(code=None, signal=15)


@pytest.mark.anyio
async def test_its_client_keeps_it(tmp_path: Path) -> None:
    server = await letta.spawn_server(COMMAND, cwd=tmp_path)
    end = server._native.end()
    connecting = letta.connect(server)
    del server
    gc.collect()
    with anyio.move_on_after(0.3):
        await anyio.to_thread.run_sync(end.wait, abandon_on_cancel=True)
    assert runs(pid_in(tmp_path))
    # The stand-in is no App Server, and a client that has not connected is closed.
    with pytest.raises(letta.LettaAppError):
        await connecting
    del connecting
    gc.collect()
    assert await anyio.to_thread.run_sync(end.wait) == (None, signal.SIGTERM)


@pytest.mark.anyio
async def test_one_that_ends_by_itself_has_a_code(tmp_path: Path) -> None:
    ending = STAND_IN.replace("server.serve_forever()", "server.handle_request(); sys.exit(3)")
    async with letta.spawn_server([sys.executable, "-c", ending], cwd=tmp_path) as server:
        assert await server.wait_exited() == letta.ServerExit(code=3, signal=None)


@pytest.mark.anyio
async def test_a_wait_that_is_cancelled_leaves_no_thread(tmp_path: Path) -> None:
    before = set(waiting())
    async with letta.spawn_server(COMMAND, cwd=tmp_path) as server:
        for _ in range(3):
            with anyio.move_on_after(0.05) as scope:
                await server.wait_exited()
            assert scope.cancelled_caught
        for thread in set(waiting()) - before:
            await anyio.to_thread.run_sync(thread.join, 5)
            assert not thread.is_alive()
        assert server.exited() is None


@pytest.mark.anyio
async def test_a_client_says_that_its_server_has_ended(tmp_path: Path) -> None:
    async with letta.spawn_server(COMMAND, cwd=tmp_path) as server:
        os.kill(pid_in(tmp_path), signal.SIGKILL)
        await server.wait_exited()
        with pytest.raises(letta.ConnectionFailed) as caught:
            await letta.connect(server, connect_timeout=5)
    error = caught.value
    assert "the server has ended: killed by signal 9" in str(error)
    assert error.hint == "start another server, and make a client of that one"
    assert not error.retryable
    # The token is one of the options all the same, under either name.
    unusable: tuple[dict[str, Any], ...] = ({"auth_token": 5}, {"token": "a", "auth_token": "b"})
    for options in unusable:
        with pytest.raises(letta.InvalidOption, match=r"^auth_token: "):
            letta.connect(server, **options)


def test_without_an_event_loop(tmp_path: Path) -> None:
    lines: list[str] = []
    with sync.spawn_server(COMMAND, cwd=tmp_path, on_log=lines.append) as server:
        assert server.exited() is None
        killer = threading.Timer(0.1, os.kill, (pid_in(tmp_path), signal.SIGKILL))
        killer.start()
        assert server.wait_exited() == KILLED
        assert server.exited() == KILLED
        killer.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_after_a_fork_it_is_the_parents(tmp_path: Path) -> None:
    with sync.spawn_server(COMMAND, cwd=tmp_path) as server:
        child = os.fork()
        if child == 0:
            try:
                server.wait_exited()
            except letta.ForkedProcess:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert server.exited() is None


@pytest.mark.anyio
async def test_of_a_joined_server_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with letta.spawn_server(COMMAND, cwd=tmp_path, reuse=True) as own:
        joined = await letta.spawn_server(COMMAND, cwd=tmp_path, reuse=True)
        assert (own.joined, joined.joined) == (False, True)
        told: list[letta.ServerExit] = []

        async def wait() -> None:
            told.append(await joined.wait_exited())

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            os.kill(pid_in(tmp_path), signal.SIGKILL)
            assert await own.wait_exited() == KILLED
            assert (told, joined.exited()) == ([], None)
            # It is the wait that ends with this.
            await joined.close()
        assert told == [letta.ServerExit(code=None, signal=None)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_does_not_keep_others_from_sharing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    start = functools.partial(sync.spawn_server, COMMAND, cwd=tmp_path, reuse=True)
    with start():
        child = os.fork()
        if child == 0:
            signal.pause()
            os._exit(0)
    try:
        # The fork has all that was open, and a server of the parent's no more.
        with start() as second, start() as third:
            assert (second.joined, third.joined) == (False, True)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
