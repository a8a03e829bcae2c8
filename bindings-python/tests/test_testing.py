from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import letta_app_client as letta
from letta_app_client import _native, sync
from letta_app_client.testing import MockServer, _scripted, script
from letta_app_client.testing.expected import differences

TRACES = Path(__file__).parents[2] / "protocol" / "traces"


@pytest.mark.timeout(120)
def test_every_recorded_input_has_the_expected_outcome() -> None:
    command = [sys.executable, "-m", "letta_app_client.testing", "conformance", str(TRACES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.splitlines()[-1] == "204 passed, 0 failed"


def test_differences_are_found(tmp_path: Path) -> None:
    result = letta.TurnResult(
        runtime=letta.Fields({}), text="abc", stop_reason="end_turn", run_ids=("r",), turn_id="t"
    )
    assert differences({"outcome": "end_turn", "text": "abc", "run_ids": ["r"]}, result) == []
    assert differences({"text": "bc", "joined": True, "run_ids": []}, result) == []
    assert differences({"text": None, "text_is_prefix_of": "abcdef"}, result) == []
    wrongs: list[dict[str, Any]] = [
        {"outcome": "cancelled"},
        {"outcome": None},
        {"text": "bc"},
        {"text": "ab", "joined": True},
        {"text_is_prefix_of": "ab"},
        {"run_ids": []},
        {"tool_calls": 1},
        {"merged_with": ["x"]},
    ]
    for wrong in wrongs:
        assert len(differences(wrong, result)) == 1, wrong
    assert differences({"outcome": None}, letta.Disconnected("gone")) == []
    assert differences({"outcome": "end_turn"}, letta.Disconnected("gone"))
    assert differences({"text": "a"}, letta.Disconnected("gone"))
    removed = letta.TurnAborted("removed")
    removed.result = letta.TurnResult(
        runtime=letta.Fields({}), completed_by="removed_from_queue", turn_id="t", error="e"
    )
    assert differences({"outcome": "removed_from_queue", "turn_id": "t"}, removed) == []
    assert len(differences({"turn_id": "u", "has_error": False}, removed)) == 2
    assert differences({"outcome": "x"}, letta.RequestError("no"))[0].count("error request")


def test_a_recording_that_cannot_be_followed_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "single").mkdir()
    (tmp_path / "single" / "x.jsonl").write_text(
        '{"t_ms":1,"event":"open","channel":"socket","url":"ws://h/ws"}\n'
        '{"t_ms":2,"dir":"recv","channel":"socket","frame":{"type":"a"}}\n'
    )
    expected = (
        '{"inputs":{"single/x.jsonl":[{"client_message_ids":["cm-1"],"outcome":"end_turn"}]}}'
    )
    (tmp_path / "EXPECTED.json").write_text(expected)
    command = [sys.executable, "-m", "letta_app_client.testing", "conformance", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[-1] == "0 passed, 1 failed"
    assert lines[0].startswith("single/x.jsonl: ")


def test_a_client_that_answers_no_ping_is_dropped_where_that_is_wanted() -> None:
    limits = {"pong_timeout_ms": 100}
    with MockServer(slow_reader_limits=limits) as mock:
        host, port = mock.url.removeprefix("ws://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as mute:
            mute.sendall(
                b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            while mute.recv(4096):
                pass
        # In the books before the connection was dropped.
        (terminated,) = mock.terminated
        assert terminated.seconds >= 0.1
        assert terminated.reason == "no pong for 0 s"
    with pytest.raises(ValueError, match=r"slow_reader_limits\.queue"):
        MockServer(slow_reader_limits={"queue": 1})


def test_the_mock_server_says_what_it_got() -> None:
    with MockServer([script.turn("42")], token="t") as mock:
        assert mock.url in repr(mock)
        with pytest.raises(AssertionError, match='at least 1 frames of type "sync", got 0'):
            mock.assert_received("sync")

        async def main() -> None:
            async with letta.connect(mock.url, token="t") as client:
                client.send_raw(
                    {"type": "sync", "runtime": {"agent_id": "a", "conversation_id": "c"}}
                )
                await asyncio.to_thread(mock.wait_received, "sync")

        asyncio.run(main())
        mock.assert_received("sync")
        mock.assert_received("sync", times=1)
        with pytest.raises(AssertionError, match="expected 2"):
            mock.assert_received("sync", times=2)
        assert not mock.wait_received("sync", 2, timeout=0)
        assert not mock.wait_done(timeout=0)
        assert mock.failure is None
    mock.close()


def test_bad_scripts_and_recordings(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="colour"):
        MockServer([{"colour": "red"}])
    with pytest.raises(OSError, match=r"nothing\.jsonl"):
        MockServer.play(tmp_path / "nothing.jsonl", "single")
    (tmp_path / "bad.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match=r"bad\.jsonl:1"):
        MockServer.play(tmp_path / "bad.jsonl", "single")
    with pytest.raises(ValueError, match="generation"):
        MockServer.play(TRACES / "single" / "simple_turn.jsonl", "both")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        ({"reasoning": 5}, "reasoning: expected several strings, got int"),
        ({"usage": 5}, "usage: expected prompt and completion tokens, got int"),
        ({"usage": (1,)}, "usage: expected prompt and completion tokens, got 1"),
        ({"usage": (1, "2")}, r"usage[1]: expected a whole number, got str"),
        ({"text": 5}, "text: expected several strings, got int"),
        ({"delay_ms": 0.5}, "delay_ms: expected a whole number, got float"),
        ({"retries": -1}, "retries: expected a number from 0, got -1"),
        ({"cuts": [True]}, "cuts[0]: expected a whole number, got bool"),
        ({"hang": 1}, "hang: expected True or False, got int"),
        ({"error": True}, "error: expected text, got bool"),
        ({"tool_calls": ("Read", {})}, "tool_calls[0]: expected a pair of a name and arguments,"),
        ({"tool_calls": [("Read", "x")]}, "tool_calls[0].input: expected a mapping, got str"),
        ({"tool_calls": [()]}, "tool_calls[0]: expected a name and arguments, got 0 values"),
        ({"tool_calls": [{"input": {}}]}, "tool_calls[0].name: expected text, but it is missing"),
        ({"tool_calls": [{"name": "R", "reslt": ""}]}, "tool_calls[0].reslt: is not a field"),
    ],
)
def test_mistakes_in_a_turn_are_named_by_their_field(turn: Any, words: str) -> None:
    with pytest.raises(letta.InvalidOption) as caught:
        script.turn(**turn)
    assert str(caught.value).startswith(words)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(letta.InvalidOption) as caught:
        MockServer([{}, turn])
    assert str(caught.value).startswith(f"turns[1].{words}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"turns": script.turn("x")}, "turns: expected a list of turns, got one"),
        ({"turns": ["x"]}, "turns[0]: expected what script.turn returns, got str"),
        (
            {"turns": [{"txt": "a"}]},
            "turns[0].txt: is not a field of a script (did you mean `text`?)",
        ),
        ({"generation": "both"}, 'generation: expected "single" or "split", got \'both\''),
        ({"token": 5}, "token: expected text, got int"),
        ({"models": "a/b"}, "models: expected several strings, got str"),
        ({"answers": {"x": 5}}, "answers.x: expected a mapping or None, got int"),
        ({"answers": {"watch_file": {}}}, "answers.watch_file: this command has no answer"),
        (
            {"answers": {"agent_lists": {}}},
            "answers.agent_lists: there is no such command; did you mean `agent_list`?",
        ),
        ({"slow_reader_limits": 5}, "slow_reader_limits: expected True, False or a mapping"),
        ({"slow_reader_limits": {"x": 1}}, "slow_reader_limits.x: is not a field of a script"),
    ],
)
def test_mistakes_in_what_a_server_is_made_with_are_named(options: Any, words: str) -> None:
    with pytest.raises(letta.InvalidOption) as caught:
        MockServer(**options)
    assert str(caught.value).startswith(words)


def test_the_double_has_no_fields_but_those_that_are_checked() -> None:
    """What the native double knows, as it says itself."""
    for known, text in (
        (_scripted._TURN, '{"turns": [{"?": 1}]}'),
        (_scripted._OPTIONS, '{"?": 1}'),
    ):
        with pytest.raises(ValueError, match="unknown field") as caught:
            _native.MockServer.scripted(text)
        names = set(re.findall("`([a-z_]+)`", str(caught.value)))
        assert names - {"turns"} == set(known)


def test_what_a_test_answers_comes_before_what_is_built_in() -> None:
    answers = {"input": {"accepted": False, "error": "not today"}, "terminal_spawn": {"pid": 7}}
    with MockServer(answers=answers) as mock, sync.connect(mock.url) as client:
        with pytest.raises(letta.LettaAppError, match="not today"):
            client.session(agent_id="a").run("?")
        with client.terminals.open() as terminal:
            assert terminal.pid == 7


def test_a_call_without_arguments_has_none() -> None:
    turn = script.turn(tool_calls=[script.call("Read")])
    with MockServer([turn]) as mock, sync.connect(mock.url) as client:
        [call] = client.session(agent_id="a").run("?").tool_calls
        assert call.arguments == "{}"


def test_a_turn_written_by_hand_has_the_defaults_of_the_double() -> None:
    with MockServer([{}]) as mock, sync.connect(mock.url) as client:
        assert client.session(agent_id="a").run("?").text == "Hello world"


def test_none_in_a_turn_is_left_out_and_a_text_is_one_piece() -> None:
    call = {"name": "Read", "input": None, "result": None}
    turn: dict[str, Any] = {"text": None, "usage": None, "tool_calls": [call], "reasoning": "so"}
    assert script.turn(reasoning="so")["reasoning"] == ["so"]
    with MockServer([turn]) as mock, sync.connect(mock.url) as client:
        result = client.session(agent_id="a").run("?")
        assert result.text == "Hello world"
        assert "so" in {one.text for one in result.messages if one.type == "reasoning"}


def test_a_server_that_stops_refuses_connections_until_it_starts_again() -> None:
    with MockServer() as mock:
        address = ("127.0.0.1", int(mock.url.rpartition(":")[2]))
        with sync.connect(mock.url, reconnect=False) as client:
            client.session(agent_id="agent-1")
            mock.stop()
            mock.stop()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
        assert mock.open_connections == 0
        mock.start_again()
        mock.start_again()
        with sync.connect(mock.url) as client:
            client.session(agent_id="agent-1")
        mock.assert_received("runtime_start", times=2)
        mock.stop()
        with socket.create_server(address), pytest.raises(OSError) as taken:  # noqa: PT011
            mock.start_again()
        assert "closed" not in str(taken.value)
    with pytest.raises(OSError, match="the server is closed for good"):
        mock.start_again()
