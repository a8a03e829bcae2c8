"""The command ``letta-app``: what ends it from outside, what its caller closed or left empty."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import termios
from array import array
from pathlib import Path
from typing import Any

import pytest

from letta_app_client.testing import MockServer, script

from .test_cli import APP, ENVIRONMENT, app

HANGS = script.turn("Working", hang=True)
ENDS = [(signal.SIGTERM, 143), (signal.SIGHUP, 129)]


def started(mock: MockServer, *words: str, **options: Any) -> subprocess.Popen[bytes]:
    command = [*APP, *words, "--url", mock.url, "--agent", "a"]
    options.setdefault("stderr", subprocess.DEVNULL)
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=ENVIRONMENT, **options
    )


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_a_signal_stops_the_turn_and_leaves_a_last_line(number: int, code: int) -> None:
    with MockServer([HANGS]) as mock, started(mock, "run", "?", "--json") as child:
        assert child.stdout is not None
        assert any(b"Working" in line for line in child.stdout)
        child.send_signal(number)
        assert child.wait(20) == code
        last = json.loads(child.stdout.readlines()[-1])
        assert (last["type"], last["error"]["code"]) == ("result", "interrupted")
        assert signal.Signals(number).name in last["error"]["message"]
        mock.assert_received("abort_message", times=1)


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_a_signal_finishes_a_recording(number: int, code: int, tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    command = ("run", "?", "--record", str(file))
    with MockServer([HANGS]) as mock, started(mock, *command) as child:
        assert child.stdout is not None
        assert child.stdout.read(7) == b"Working"
        child.send_signal(number)
        assert child.wait(20) == code
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[-1]["event"] == "close"


def test_a_signal_ends_a_command_whose_output_nobody_reads() -> None:
    turn = script.turn("x" * 200_000, hang=True)
    with MockServer([turn]) as mock, started(mock, "run", "?") as child:
        assert child.stdout is not None
        full = fcntl.fcntl(child.stdout, fcntl.F_GETPIPE_SZ)
        waiting = array("i", [0])
        while waiting[0] < full:
            assert select.select([child.stdout], [], [], 20)[0]
            fcntl.ioctl(child.stdout, termios.FIONREAD, waiting)
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 143


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="nobody says what is ignored")
def test_nohup_is_respected() -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with MockServer([HANGS]) as mock, started(mock, "run", "?", preexec_fn=ignore) as child:
        assert child.stdout is not None
        assert child.stdout.read(7) == b"Working"
        child.send_signal(signal.SIGHUP)
        child.send_signal(signal.SIGTERM)
        # Both have arrived; the first would have been the reason.
        assert child.wait(20) == 143


@pytest.mark.parametrize("closed", [(1,), (0, 1), (0, 1, 2)])
def test_closed_streams_are_taken_by_nothing_else(closed: tuple[int, ...], tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    with MockServer([script.turn("AGENT TEXT")]) as mock:
        words = [*APP, "run", "?", "--url", mock.url, "--agent", "a", "--record", str(file)]
        closing = " ".join(f"{number}>&-" for number in closed)
        command = ["sh", "-c", f'"$@" {closing}', "sh", *words]
        done = subprocess.run(
            command, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[-1]["event"] == "close"


@pytest.mark.parametrize("piped", ["", " \n\t\n"])
def test_an_empty_prompt_is_refused_before_anything_is_opened(piped: str) -> None:
    with MockServer() as mock:
        target = ("--url", mock.url, "--agent", "a")
        none = app("run", "-", *target, "--json", stdin=None, input=piped)
        assert none.returncode == 2
        assert "expected a prompt on standard input" in none.stderr
        assert json.loads(none.stdout.splitlines()[-1])["error"]["code"] == "invalid_option"
        none = app("run", piped, *target)
        assert (none.returncode, none.stdout) == (2, "")
        assert "run: expected a prompt" in none.stderr
        assert mock.connections == 0


def test_waits_of_the_double_are_ended_by_what_a_handler_raises() -> None:
    child = (
        "import os, signal, sys, threading\n"
        "from letta_app_client.testing import MockServer\n"
        "mock = MockServer()\n"
        "threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()\n"
        "try:\n"
        "    getattr(mock, sys.argv[1])(*sys.argv[2:], timeout=600)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    for words in (["wait_received", "input"], ["wait_done"]):
        done = subprocess.run(
            [APP[0], "-c", child, *words],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.stdout == "interrupted\n", done.stderr
