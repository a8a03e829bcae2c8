"""The programs in ``examples/python``, each run as its reader would, against the server double."""

from __future__ import annotations

import http.client
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from letta_app_client.testing import MockServer, script

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "python"
ELSEWHERE = {"quickstart", "demo"}
"""These are run against the real server."""

PERMISSIONS = script.turn(
    text="done",
    tool_calls=[
        script.call("Read", {"file_path": "a.py"}),
        script.call("Bash", {"command": "pytest tests"}, needs_approval=True),
        script.call("Bash", {"command": "pytest; git push"}, needs_approval=True),
        script.call("Write", {"file_path": "b.py"}, needs_approval=True),
    ],
)


def command(name: str) -> list[str]:
    return [sys.executable, "-W", "error", str(FOLDER / f"{name}.py")]


def environment(mock: MockServer, **more: str) -> dict[str, str]:
    own = {"LETTA_URL": mock.url, "LETTA_MODEL": "test/model", "PYTHONUTF8": "1"}
    return {**os.environ, **own, **more}


def ended(
    name: str, mock: MockServer, stdin: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, which has to be a good one."""
    done = subprocess.run(
        command(name),
        input=stdin,
        env=environment(mock, **env),
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )
    assert (done.returncode, mock.unexpected) == (0, []), done.stderr
    return done


def run(name: str, mock: MockServer, stdin: str = "", **env: str) -> str:
    """Runs a program that has nothing to complain of; gives what it printed."""
    done = ended(name, mock, stdin, **env)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
@pytest.mark.parametrize(
    ("name", "typed", "waits"),
    [("approve_interactively", b"", b"[y/n] "), ("chat_loop", b"hello\n", b"done")],
)
def test_one_interrupt_ends_what_waits_for_a_line(name: str, typed: bytes, waits: bytes) -> None:
    import pty  # noqa: PLC0415 - there is none on Windows

    with MockServer([PERMISSIONS]) as mock:
        here, there = pty.openpty()
        with subprocess.Popen(
            command(name), stdin=there, stdout=subprocess.PIPE, env=environment(mock)
        ) as program:
            os.write(here, typed)
            assert program.stdout is not None
            said = b""
            while waits not in said:
                piece = os.read(program.stdout.fileno(), 4096)
                assert piece, said
                said += piece
            program.send_signal(signal.SIGINT)
            try:
                assert program.wait(10) != 0
            finally:
                program.kill()
        os.close(here)
        os.close(there)


def prompts(mock: MockServer) -> list[Any]:
    inputs = [frame.raw["payload"] for frame in mock.received if frame.type == "input"]
    return [one["messages"][0]["content"] for one in inputs if one["kind"] == "create_message"]


def test_ask_once() -> None:
    with MockServer([script.turn(text=["Ju", "piter."])]) as mock:
        assert run("ask_once", mock) == "Jupiter.\n[end_turn, 12 tokens]\n"
        (start,) = [frame for frame in mock.received if frame.type == "runtime_start"]
        assert start.create_agent.body == {"name": "helper", "model": "test/model"}


def test_chat_loop() -> None:
    turns = [
        script.turn(text=["Hel", "lo."]),
        script.turn(text="Half", error="no credits"),
        script.turn(text="Bye."),
    ]
    with MockServer(turns) as mock:
        said = run("chat_loop", mock, "hello\n\nand now?\ngoodbye")
        assert said == "Hello.\nHalf\n[failed: no credits]\nBye.\n[36 tokens in all]\n"
        assert prompts(mock) == ["hello", "and now?", "goodbye"]


def test_without_async() -> None:
    with MockServer([script.turn(["Ju", "piter."]), *[script.turn("Far away.")] * 3]) as mock:
        assert run("without_async", mock) == "Jupiter.\n" + "Far away.\n" * 3
        assert sorted(prompts(mock)[1:]) == [
            f"Tell me about {planet}." for planet in ("Mars", "Saturn", "Venus")
        ]


def test_stream_to_terminal() -> None:
    call = script.call("Bash", {"command": "ls"}, result="a.py\n")
    with MockServer([script.turn(["One ", "file."], tool_calls=[call], reasoning=["hm"])]) as mock:
        assert run("stream_to_terminal", mock) == (
            "[Bash is called]\n[success: a.py]\nOne file.\n[completed, 4 tokens]\n"
        )


@pytest.mark.parametrize(
    ("stdin", "outcomes"),
    [
        ("y\nno\nYES\n", ["success", "success", "error", "success"]),
        ("n\n", ["success", "error", "error", "error"]),  # nobody answers the rest
    ],
)
def test_approve_interactively(stdin: str, outcomes: list[str]) -> None:
    tools = ["Read", "Bash", "Bash", "Write"]
    with MockServer([PERMISSIONS]) as mock:
        asked = (
            "Bash {'command': 'pytest tests'}? [y/n] "
            "Bash {'command': 'pytest; git push'}? [y/n] "
            "Write {'file_path': 'b.py'}? [y/n] "
        )
        ran = [f"{tool}: {outcome}\n" for tool, outcome in zip(tools, outcomes, strict=True)]
        assert run("approve_interactively", mock, stdin) == f"{asked}{''.join(ran)}done\n"


def test_approve_by_policy() -> None:
    rule = r"allow('Bash', command='^(pytest|ruff)( [\\w./-]+)*\\Z')"
    with MockServer([PERMISSIONS]) as mock:
        assert run("approve_by_policy", mock).splitlines() == [
            "done",
            f"Bash {{'command': 'pytest tests'}}: allow by {rule}",
            "Bash {'command': 'pytest; git push'}: deny by deny('Bash')",
            "Write {'file_path': 'b.py'}: deny by otherwise deny",
        ]


@pytest.mark.parametrize("asks", [False, True])
def test_tool_from_function(*, asks: bool) -> None:
    arguments = {"color": "red", "at_least": 20}
    call = script.call("stock", arguments, needs_approval=asks)
    with MockServer([script.turn("Cherries.", tool_calls=[call])]) as mock:
        assert run("tool_from_function", mock) == ("[stock: color='red', at_least=20]\nCherries.\n")
        (answer,) = [
            frame for frame in mock.received if frame.type == "external_tool_call_response"
        ]
        assert '{"item":"cherry","color":"red","count":70}' in str(answer.raw).replace(" ", "")


def test_many_prompts() -> None:
    wanted = [f"Describe the number {number} in one sentence." for number in range(1, 7)]
    with MockServer([script.turn(text="It is one.")]) as mock:
        done = ended("many_prompts", mock)
        *answers, last = done.stdout.splitlines()
        assert answers == [f"{prompt} -> It is one." for prompt in wanted]
        assert last == "[0 failed, 72 tokens]"
        assert done.stderr.splitlines() == [f"{number} of 6" for number in range(1, 7)]
        assert sorted(prompts(mock)) == wanted
        runtimes = [str(frame.runtime) for frame in mock.received if frame.type == "input"]
        assert len(set(runtimes)) == len(wanted)


def test_keep_answers(tmp_path: Path) -> None:
    wanted = [f"Describe the number {number} in one sentence." for number in range(1, 7)]
    file = str(tmp_path / "answers.jsonl")
    turns = [script.turn(text="It is one."), script.turn(error="boom")]
    with MockServer([*turns, turns[0]]) as mock:
        *answers, last = run("keep_answers", mock, ANSWERS=file).splitlines()
        assert (len(answers), last) == (5, "[0 known before]")
        *answers, last = run("keep_answers", mock, ANSWERS=file).splitlines()
        assert sorted(answers) == [f"{prompt} -> It is one." for prompt in wanted]
        assert last == "[5 known before]"
        # Only what had failed was asked again.
        assert len(prompts(mock)) == 7


def test_fan_out_with_dask() -> None:
    wanted = [f"Describe the number {number} in one sentence." for number in range(1, 7)]
    with MockServer([script.turn(text="It is one.")], token="s3cret") as mock:
        *answers, last = run("fan_out_with_dask", mock, LETTA_TOKEN="s3cret").splitlines()
        assert answers == [f"{prompt} -> It is one." for prompt in wanted]
        assert last == "[2 workers, none of them this process: True]"
        assert sorted(prompts(mock)) == wanted
        assert mock.connections == 2


def test_structured_output() -> None:
    found = {"file": "a.py", "line": 3, "why": "It divides by zero.", "severity": "high"}
    listed = [{"file": "b.py", "line": 7, "why": "It waits for ever."}]
    turns = [
        script.turn(tool_calls=[script.call("submit_result", found, needs_approval=True)]),
        script.turn("What do you mean?"),
        script.turn(tool_calls=[script.call("submit_result", {"result": listed})]),
    ]
    with MockServer(turns) as mock:
        assert run("structured_output", mock) == (
            "a.py:3: It divides by zero. [high]\nb.py:7: It waits for ever.\n"
        )
    turns[2] = script.turn("Still: what?", tool_calls=[script.call("submit_result")])
    with MockServer(turns) as mock:
        assert run("structured_output", mock).splitlines()[1:] == [
            "no list: 'Still: what?'",
            "submit_result tool missing required parameter: result. Received parameters: ",
        ]


SERVER = """
import threading
from letta_app_client.testing import MockServer, script
with MockServer([script.turn("Jupiter.")]) as mock:
    print("Listening on", mock.url, flush=True)
    threading.Event().wait()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a process is only ever killed there")
def test_own_server(mock: MockServer, tmp_path: Path) -> None:
    program = tmp_path / "server.py"
    program.write_text(SERVER)
    server = shlex.join([sys.executable, str(program)])
    done = ended("own_server", mock, LETTA_SERVER=server)
    assert done.stdout == "Jupiter.\n"
    assert done.stderr.startswith("server: Listening on ws://127.0.0.1:")
    assert mock.connections == 0
    failed = subprocess.run(
        command("own_server"),
        env=environment(mock, LETTA_SERVER="no-such-program"),
        capture_output=True,
        encoding="utf-8",
        timeout=50,
        check=False,
    )
    assert failed.returncode == 1
    assert "no-such-program" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_tool_over_a_frame() -> None:
    pytest.importorskip("pandas")
    call = script.call("latency", {"by": "service", "quantile": 1}, needs_approval=True)
    with MockServer([script.turn("Search.", tool_calls=[call])]) as mock:
        said = run("tool_over_a_frame", mock)
        assert said == "[latency: by='service', quantile=1.0]\nSearch.\n"
        (answer,) = [
            frame for frame in mock.received if frame.type == "external_tool_call_response"
        ]
        (part,) = answer.raw["result"]["content"]
        assert "search,2400" in part["text"]
        (start,) = [frame for frame in mock.received if frame.type == "runtime_start"]
        parameters = start.external_tools[0]["tools"][0]["parameters"]
        assert parameters["properties"]["by"]["enum"] == ["service", "region"]


def test_stop_after_a_limit() -> None:
    with MockServer([script.turn(text=["Once upon ", "a time"], hang=True)]) as mock:
        said = run("stop_after_a_limit", mock, SECONDS="2")
        assert said == "[stopped after 2 s]\nOnce upon a time\n[0 tool calls]\n"
        mock.assert_received("abort_message")
    with MockServer([script.turn(text="The end.")]) as mock:
        assert run("stop_after_a_limit", mock) == "The end.\n"


def test_watch_a_conversation() -> None:
    with MockServer([script.turn(["Hel", "lo."], tool_calls=[script.call("Read")])]) as mock:
        assert run("watch_a_conversation", mock) == "Hello.\n[end_turn]\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a process is only ever killed there")
def test_web_endpoint() -> None:
    turns = [
        script.turn(text=["Grüß ", "Gott"]),
        script.turn(text="half", error="no credits"),
        script.turn(text=["on and on "] * 2000, delay_ms=10),
        script.turn(text=[], hang=True),
    ]
    with MockServer(turns) as mock:
        endpoint = subprocess.Popen(
            command("web_endpoint"),
            env=environment(mock, PORT="0"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        try:
            assert endpoint.stdout is not None
            word, _, url = endpoint.stdout.readline().strip().partition(": ")
            assert word == "ready"
            with urlopen(f"{url}?q=say%20hello", timeout=30) as response:  # noqa: S310 - loopback
                assert response.headers["Transfer-Encoding"] == "chunked"
                assert response.read().decode() == "Grüß Gott"
            # What is not a whole answer cannot be taken for one.
            with urlopen(f"{url}?q=more", timeout=30) as response:  # noqa: S310
                with pytest.raises(http.client.IncompleteRead) as cut:
                    response.read()
                assert cut.value.partial == b"half"
            with pytest.raises(HTTPError) as refused:
                urlopen(url, timeout=30)  # noqa: S310
            assert refused.value.code == 400
            refused.value.close()
            # A reader who goes away stops the turn.
            with urlopen(f"{url}?q=on", timeout=30) as response:  # noqa: S310
                assert response.read(2) == b"on"
            assert mock.wait_received("abort_message")
            # ... also while the agent says nothing.
            with urlopen(f"{url}?q=and", timeout=30):  # noqa: S310
                assert mock.wait_received("input", 4)
            assert mock.wait_received("abort_message", 2)
            assert endpoint.stdout.readline() == "a request failed: the turn is failed\n"
            for _ in range(2):
                assert endpoint.stdout.readline().startswith("a request failed: ")
            assert prompts(mock) == ["say hello", "more", "on", "and"]
            endpoint.terminate()
            assert endpoint.communicate(timeout=30) == ("", "")
            assert endpoint.returncode == 0
        finally:
            endpoint.kill()
            endpoint.wait()
            for pipe in (endpoint.stdout, endpoint.stderr):
                if pipe is not None:
                    pipe.close()


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.py")))
def test_every_program_is_run_by_a_test(name: str) -> None:
    assert name in ELSEWHERE or f"test_{name}" in globals()
