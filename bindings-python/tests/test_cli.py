"""The command ``letta-app``: what it says, where, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from letta_app_client.testing import MockServer, script

APP = [sys.executable, "-m", "letta_app_client"]
TRACES = Path(__file__).parents[2] / "protocol/traces"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("LETTA_")}


def app(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(
        [*APP, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**ENVIRONMENT, **options.pop("env", {})},
        **options,
    )


def test_run_streams_text_to_one_stream_and_the_rest_to_the_other() -> None:
    turn = script.turn(["4", "2"], tool_calls=[("Read", {"path": "a.txt"})])
    with MockServer([turn], token="s3cret") as mock:
        target = ("--url", mock.url, "--agent", "agent-1")
        done = app("run", "What is it?", *target, env={"LETTA_TOKEN": "s3cret"})
        assert (done.stdout, done.returncode) == ("42\n", 0)
        assert "-> Read" in done.stderr
        assert "<- success: ok" in done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        lines = app("run", "-", *target, "--json", "--token", "s3cret", stdin=None, input="piped")
        events = [json.loads(line) for line in lines.stdout.splitlines()]
        texts = [event["text"] for event in events if event["type"] == "assistant_delta"]
        assert texts == ["4", "2"]
        assert events[-1]["result"]["text"] == "42"
        mock.assert_received("input", times=2)
    content = mock.received[-1].raw["payload"]["messages"][0]["content"]
    assert content == "piped"


def test_exit_codes() -> None:
    with MockServer([script.turn(error="no money")], token="s3cret") as mock:
        failed = app("run", "?", "--url", mock.url, "--agent", "a", "--token", "s3cret")
        assert (failed.returncode, failed.stdout) == (1, "Hello world\n")
        assert "failed: no money" in failed.stderr
        assert app("run", "?", "--url", mock.url, "--agent", "a").returncode == 4
    assert app("run", "?", "--url", "ws://127.0.0.1:9", "--agent", "a").returncode == 3
    for wrong in (["dance"], ["run"], ["run", "?"], ["replay", "/nowhere"], ["tail", "--x"]):
        done = app(*wrong, "--url", mock.url)
        assert (done.returncode, done.stdout) in {(2, ""), (3, "")}, wrong
    assert app("--help").stdout.startswith("letta-app: look at")


def test_a_pipe_whose_reader_leaves_is_no_failure() -> None:
    trace = TRACES / "single/long_turn_300.jsonl"
    with subprocess.Popen(
        [*APP, "replay", str(trace)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.wait(20) == 0
        assert child.stderr.read() == b""


def test_replay_tells_what_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with MockServer([script.turn("42")]) as mock:
        app("run", "?", "--url", mock.url, "--agent", "a", "--record", str(path))
    lines = app("replay", str(path), "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["result"]["text"] for event in events if event["type"] == "turn"] == ["42"]
    shown = app("replay", str(path)).stdout
    assert "= turn 1 completed: 42" in shown


def test_tail_and_record_follow_a_conversation(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with MockServer() as mock:
        target = ("--url", mock.url, "--agent", "a", "--conversation", "c", "--timeout", "5")
        done = app("tail", *target, "--types", "sync_response", "--count", "1", "--json")
        assert json.loads(done.stdout)["runtime"] == {"agent_id": "a", "conversation_id": "c"}
        assert app("record", str(path), *target, "--count", "4").returncode == 0
    assert '"update_queue"' in path.read_text()


def test_bench_measures() -> None:
    with MockServer() as mock:
        done = app("bench", "--url", mock.url, "--count", "20", "--json")
    figures = json.loads(done.stdout)
    assert figures["request"]["min_ms"] > 0
    assert figures["requests_per_second"] > 0


class Terminal:
    """A command whose standard streams are a terminal."""

    def __init__(self, *arguments: str) -> None:
        self.text = ""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execvpe(  # noqa: S606 - no shell, on purpose
                APP[0], [*APP, *arguments], {**ENVIRONMENT, "TERM": "xterm"}
            )

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 20
        while text not in self.text:
            left = deadline - time.monotonic()
            if left < 0 or not select.select([self._terminal], [], [], left)[0]:
                raise AssertionError(f"{text!r} is not in {self.text!r}")
            self.text += os.read(self._terminal, 65536).decode()

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def exit_code(self) -> int:
        try:
            while more := os.read(self._terminal, 65536):
                self.text += more.decode()
        except OSError:
            pass  # the other end is gone
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.parametrize(("answer", "status"), [("y", "success"), ("what\nn", "error")])
def test_a_permission_is_asked_for_on_the_terminal(answer: str, status: str) -> None:
    call = script.call("Bash", {"command": "make clean"}, needs_approval=True, result="cleaned")
    with MockServer([script.turn("Done.", tool_calls=[call])]) as mock:
        terminal = Terminal("run", "Tidy up", "--url", mock.url, "--agent", "a")
        terminal.wait_for("Allow it?")
        assert 'Bash wants to run: {"command":"make clean"}' in terminal.text
        terminal.type(f"{answer}\n")
        assert terminal.exit_code() == 0
        assert f"<- {status}" in terminal.text
        assert "Done." in terminal.text
        assert "\x1b[" in terminal.text  # colours, as it is a terminal
    decisions = [it.raw["payload"].get("decision") for it in mock.received if it.type == "input"]
    assert decisions[1]["behavior"] == ("allow" if status == "success" else "deny")


def test_without_a_terminal_what_wants_a_permission_is_denied() -> None:
    call = script.call("Bash", needs_approval=True)
    with MockServer([script.turn("Done.", tool_calls=[call])]) as mock:
        target = ("run", "Tidy up", "--url", mock.url, "--agent", "a")
        done = app(*target)
        assert (done.returncode, done.stdout) == (0, "Done.\n")
        assert "Bash is denied: standard input is no terminal (--allow Bash)" in done.stderr
        assert "<- success" in app(*target, "--allow", "Bash").stderr


def test_ctrl_c_stops_the_turn_on_the_server() -> None:
    with (
        MockServer([script.turn("Working", hang=True)]) as mock,
        subprocess.Popen(
            [*APP, "run", "?", "--url", mock.url, "--agent", "a"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as child,
    ):
        assert child.stdout is not None
        assert child.stdout.read(7) == b"Working"
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 130
        mock.assert_received("abort_message", times=1)


def doctor(*arguments: str, **options: Any) -> tuple[int, str]:
    done = app("doctor", *arguments, **options)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_doctor_of_a_server_that_is_well() -> None:
    with MockServer(token="s3cret", models=["a/b"]) as mock:
        code, text = doctor("--url", mock.url, "--token", "s3cret")
        assert code == 0
        assert "one socket" in text
        assert "0.30.28, local backend, protocol 1" in text
        assert "runtime_start" in text
        assert "the token is accepted, and wanted" in text
        assert "ms for a request" in text
        assert "slow reader" in text
        _, lines = doctor("--url", mock.url, "--token", "s3cret", "--json")
        verdicts = {json.loads(line)["verdict"] for line in lines.splitlines()}
        assert verdicts == {"ok"}


def test_doctor_names_cause_and_remedy(tcp_server: Callable[[bytes | None], str]) -> None:
    def found(url: str, *more: str, code: int = 3) -> str:
        exit_code, text = doctor("--url", url, "--timeout", "1", *more)
        assert exit_code == code, text
        return text

    nothing = found("ws://127.0.0.1:9")
    assert "nothing listens at 127.0.0.1:9" in nothing
    assert "letta server --listen" in nothing
    with MockServer(token="s3cret") as mock:
        path = found(f"{mock.url}/wrong", "--token", "s3cret")
        assert "the path of the URL is wrong" in path
        assert "/ws" in path
        missing = found(mock.url, code=4)
        assert "LETTA_TOKEN" in missing
        wrong = found(mock.url, "--token", "other", code=4)
        assert "invalid websocket bearer token" in wrong
        assert "--ws-token-sha256" in wrong
        tls = found(mock.url.replace("ws:", "wss:"))
        assert "TLS: " in tls
        assert "needs a proxy" in tls
    website = tcp_server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
    for other in (website, tcp_server(b"220 mail ready\r\n")):
        said = found(other)
        assert "what listens there is not an App Server" in said
        assert "is the port right? start one: letta server --listen ws://" in said
    silent = found(tcp_server(None))
    assert "does not answer" in silent
    assert "is the host right?" in silent


def test_doctor_of_an_old_server_with_one_client_too_many() -> None:
    from letta_app_client import sync  # noqa: PLC0415 - only here

    with MockServer(generation="split", models=["a/b"]) as mock:
        assert "of a version before 0.29.2" in doctor("--url", mock.url)[1]
        with sync.connect(mock.url):
            code, text = doctor("--url", mock.url)
    assert code == 3
    assert "its one client is there already (control channel already connected)" in text
    assert "close the other client" in text
