"""A server of your own. A small program stands in for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

import letta_app_client as letta

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in is told to end by signals")

STAND_IN = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\\n")
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print("arguments:", " ".join(sys.argv[1:]), flush=True)
with open("pid.new", "w") as file:
    file.write(str(os.getpid()))
os.rename("pid.new", "pid")
print(f"Listening on ws://127.0.0.1:{server.server_port} (stand-in)", flush=True)
server.serve_forever()
"""
COMMAND = [sys.executable, "-c", STAND_IN]


def pid_in(folder: Path) -> int:
    return int((folder / "pid").read_text())


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def assert_ends(pid: int) -> None:
    deadline = time.monotonic() + 5
    while runs(pid):
        assert time.monotonic() < deadline, "the server is left"
        time.sleep(0.01)


@pytest.mark.anyio
async def test_it_starts_with_a_token_and_ends_when_it_is_closed(tmp_path: Path) -> None:
    async with letta.spawn_server(COMMAND, cwd=tmp_path) as server:
        pid = pid_in(tmp_path)
        assert server.url.startswith("ws://127.0.0.1:")
        assert server.token is not None
        assert len(server.token) == 64
        assert server.token not in repr(server)
        output = "\n".join(server.output())
        assert "--listen ws://127.0.0.1:0 --ws-auth capability-token" in output
        assert server.token not in output
        assert runs(pid)
        # Its address and token are taken from it.
        with pytest.raises(letta.LettaAppError):
            await letta.connect(server)
    assert not runs(pid)
    await server.close()
    assert "\n".join(server.output()).startswith(output)


@pytest.mark.anyio
async def test_it_says_why_it_did_not_start() -> None:
    failing = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with pytest.raises(letta.ServerStartError, match="no such model") as caught:
        await letta.spawn_server(failing)
    error = caught.value
    assert (error.command, error.exit_code) == (tuple(failing), 1)
    assert error.output_tail == ("no such model",)
    with pytest.raises(letta.ServerStartError, match="no-such-program"):
        await letta.spawn_server(["no-such-program"])
    with pytest.raises(letta.InvalidOption, match="cwd: there is no directory /nowhere"):
        await letta.spawn_server(cwd="/nowhere")


def test_options_are_checked_at_once() -> None:
    unusable: tuple[Any, ...] = ("letta server", [])
    for command in unusable:
        with pytest.raises(letta.InvalidOption, match=r"^command: "):
            letta.spawn_server(command)
    with pytest.raises(letta.InvalidOption, match=r"^ready_timeout: "):
        letta.spawn_server(ready_timeout=0)
    with pytest.raises(letta.InvalidOption, match=r"^cwd: expected a path, got int"):
        letta.spawn_server(cwd=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"auth": "no"}, "auth: expected True or False, got str"),
        ({"auth": 0}, "auth: expected True or False, got int"),
        ({"auth": ""}, "auth: expected True or False, got str"),
        ({"reuse": 1}, "reuse: expected True or False, got int"),
        ({"env": "A=1"}, "env: expected a mapping of texts, got str"),
        ({"env": {"KEY": None}}, "env.KEY: expected text, got NoneType"),
        ({"env": {"KEY": ["secret"]}}, "env.KEY: expected text, got list"),
        ({"env": {5: "a"}}, "env: expected text, got int"),
        ({"env": {"A=B": "c"}}, 'env: expected names without = or NUL, got "A=B"'),
        ({"env": {"": "c"}}, 'env: expected names without = or NUL, got ""'),
        (
            {"env": {"KEY": "secret\0"}},
            "env.KEY: expected text without a NUL character, got one",
        ),
        (
            {"env": {"KEY": "a\udcffb"}},
            "env.KEY: the text contains half a surrogate pair, which is not Unicode",
        ),
        (
            {"command": ["a\0b"]},
            'command[0]: expected text without a NUL character, got "a\\0b"',
        ),
    ],
)
def test_a_wrong_value_is_named_at_once(options: Any, message: str) -> None:
    with pytest.raises(letta.InvalidOption) as caught:
        letta.spawn_server(**options)
    assert str(caught.value).splitlines()[0] == message


@pytest.mark.anyio
async def test_no_word_about_the_token_means_that_there_is_one(tmp_path: Path) -> None:
    async with letta.spawn_server(COMMAND, cwd=tmp_path, auth=None, reuse=None) as server:
        assert server.token is not None


@pytest.mark.anyio
async def test_a_start_that_nobody_waits_for_leaves_nothing(tmp_path: Path) -> None:
    # It never says where it listens, and would have 30 s for that.
    mute = STAND_IN.replace("Listening on", "Not listening on")
    async with anyio.create_task_group() as tasks:

        async def start() -> None:
            await letta.spawn_server([sys.executable, "-c", mute], cwd=tmp_path)

        tasks.start_soon(start)
        with anyio.fail_after(10):
            while not (tmp_path / "pid").exists():  # noqa: ASYNC110 - another process writes it
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    await anyio.to_thread.run_sync(assert_ends, pid_in(tmp_path))


OWNER = """
import asyncio, os, signal, sys
import letta_app_client as letta
async def main():
    server = await letta.spawn_server({command!r}, cwd={folder!r})
    end = {end!r}
    if end == "exit":
        os._exit(0)
    if end == "raise":
        raise RuntimeError("the owner fails")
    if end == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["return", "exit", "raise", "kill", "interrupt"])
def test_it_ends_with_its_owner(tmp_path: Path, end: str) -> None:
    owner = OWNER.format(command=COMMAND, folder=str(tmp_path), end=end)
    done = subprocess.run(
        [sys.executable, "-c", owner], capture_output=True, timeout=30, check=False
    )
    expected = {"return": 0, "exit": 0, "raise": 1, "kill": -signal.SIGKILL}
    assert done.returncode == expected.get(end, done.returncode)
    assert_ends(pid_in(tmp_path))


FORKED = """
import os, sys
from letta_app_client import sync
server = sync.spawn_server([sys.executable, "-c", sys.argv[1]], cwd=sys.argv[2])
child = os.fork()
if child == 0:
    # It holds what its parent had open, the pipe to the server's guard too.
    os.close(1)
    os.close(2)
    sys.stdin.read()
    os._exit(0)
print("forked", flush=True)
sys.stdin.read() if sys.argv[3] == "kill" else os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("end", ["kill", "exit"])
def test_it_ends_with_its_owner_whose_forked_process_lives(tmp_path: Path, end: str) -> None:
    held, hold = os.pipe()
    arguments = ["-W", "ignore::DeprecationWarning", "-c", FORKED, STAND_IN, str(tmp_path), end]
    with subprocess.Popen(
        [sys.executable, *arguments], stdin=held, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "forked\n"
        pid = pid_in(tmp_path)
        if end == "kill":
            owner.kill()
        owner.wait(20)
        assert_ends(pid)
    os.close(hold)
    os.close(held)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_neither_ends_it_nor_keeps_it(tmp_path: Path) -> None:
    code = """
import asyncio, os, sys
import letta_app_client as letta

async def main():
    server = await letta.spawn_server([sys.executable, "-c", sys.argv[1]], cwd=sys.argv[2])
    (held, hold), (ready, tell) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hold)
        del server
        os.write(tell, b"x")
        os.read(held, 1)
        os._exit(0)
    os.read(ready, 1)
    pid = int(open(os.path.join(sys.argv[2], "pid")).read())
    os.kill(pid, 0)
    await server.close()
    try:
        os.kill(pid, 0)
        print("it is left")
    except ProcessLookupError:
        print("it has ended")
    os.close(hold)
    os.waitpid(child, 0)

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, STAND_IN, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("it has ended\n", 0), done.stderr


@pytest.mark.anyio
async def test_its_lines_are_handed_on_from_the_first_to_the_last(tmp_path: Path) -> None:
    talking = STAND_IN.replace(
        "server.serve_forever()",
        """
import signal, threading
def end(*_):
    print("ending", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
print("to the other output", file=sys.stderr, flush=True)
server.serve_forever()
""",
    )
    lines: list[str] = []
    threads: set[int] = set()

    def on_log(line: str) -> None:
        threads.add(threading.get_ident())
        lines.append(line)

    command = [sys.executable, "-c", talking]
    async with letta.spawn_server(command, cwd=tmp_path, on_log=on_log) as server:
        # Not only what it said before it was ready.
        assert any(line.startswith("Listening on ws://127.0.0.1:") for line in lines)
        assert not any(line.endswith("\n") for line in lines)
        assert server.token is not None
    assert "to the other output" in lines
    # The two outputs come each in its order.
    said = [line for line in lines if line != "to the other output"]
    assert said[0].startswith("arguments: ")
    assert lines[-1] == "ending"
    assert server.token not in "".join(lines)
    assert threads == {threading.get_ident()}


@pytest.mark.anyio
async def test_the_lines_of_one_that_does_not_start_are_handed_on() -> None:
    lines: list[str] = []
    failing = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with pytest.raises(letta.ServerStartError):
        await letta.spawn_server(failing, on_log=lines.append)
    assert lines == ["no such model"]


@pytest.mark.anyio
async def test_a_reader_of_lines_that_fails_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def on_log(line: str) -> None:
        seen.append(line)
        raise LookupError(line)

    async with letta.spawn_server(COMMAND, cwd=tmp_path, on_log=on_log):
        pass
    assert len(seen) >= 2
    assert [record.getMessage() for record in caplog.records] == [
        "on_log: a handler raised" for _ in seen
    ]
    with pytest.raises(TypeError, match="on_log"):
        letta.spawn_server(COMMAND, on_log="print")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"on_log: .* the line: "):
        letta.spawn_server(COMMAND, on_log=lambda: None)  # type: ignore[arg-type, misc]


@pytest.mark.anyio
async def test_many_lines_hold_nobody_up(tmp_path: Path) -> None:
    chatty = "for number in range(5000): print(number)\n" + STAND_IN
    lines: list[str] = []
    command = [sys.executable, "-c", chatty]
    async with letta.spawn_server(command, cwd=tmp_path, on_log=lines.append):
        pass
    assert lines[:5000] == [str(number) for number in range(5000)]
