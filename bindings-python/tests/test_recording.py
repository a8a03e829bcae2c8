"""Recordings, and clients that play with one in place of a server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import letta_app_client as letta
from letta_app_client import sync
from letta_app_client.testing import MockServer, script

TRACES = Path(__file__).parents[2] / "protocol/traces"


async def program(target: Any, **options: Any) -> list[Any]:
    """A turn with all that is told of it."""
    async with letta.connect(target, **options) as client:
        session = await client.session(agent_id="agent-1")
        turn = session.send("What is six times seven?")
        # The last one has the result, and with it the time it took.
        seen: list[Any] = [repr(event) async for event in turn][:-1]
        return [*seen, (await turn).text]


@pytest.mark.anyio
async def test_a_recorded_program_sees_the_same_again(tmp_path: Path) -> None:
    path = tmp_path / "run.letta.jsonl"
    with MockServer([script.turn(["4", "2"], tool_calls=[("Read", {"path": "a"})])]) as mock:
        live = await program(mock.url, record=path)
    assert await program(letta.replay(path)) == live
    events = letta.replay(path).events()
    pieces = [it["event"]["text"] for it in events if it.get("event", {}).get("text")]
    assert pieces == ["4", "2"]
    ends = [it["result"]["text"] for it in events if it["type"] == "turn"]
    assert ends == ["42"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_function_says_how_frames_are_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "run"
    seen = []

    def redact(frame: dict[str, Any], direction: str) -> Mapping[str, Any] | None:
        seen.append((direction, frame["type"]))
        if frame["type"] == "update_device_status":
            return None
        if frame["type"] in ("update_queue", "stream_delta"):
            raise SystemExit
        return {**frame, "seen": True}

    with MockServer(token="s3cret-t0ken") as mock:
        client = letta.create_app_server_client(
            url=mock.url, token="s3cret-t0ken", record=path, redact=redact
        )
        async with client:
            await (await client.session(agent_id="agent-1")).run("?")
        unrecorded = client.stats.unrecorded
        sent = [("send", message.type) for message in mock.received]
    for line in path.read_text().splitlines():
        written = json.loads(line)
        assert written.get("frame", {"seen": True})["seen"] is True
    text = path.read_text()
    failed = text.count("a frame was left out (recv): the redactor failed")
    failing = seen.count(("recv", "update_queue")) + seen.count(("recv", "stream_delta"))
    assert unrecorded == failed == failing
    assert "update_device_status" not in text
    assert "update_queue" not in text
    assert "s3cret" not in text
    assert [it for it in seen if it[0] == "send"] == sent
    assert ("recv", "update_device_status") in seen
    first, last = caplog.records
    assert first.getMessage().startswith("the redactor failed: a frame is left out")
    assert first.exc_info is not None
    words = "the client is closed, and lines are missing in its recording: %d"
    assert (last.levelname, last.getMessage()) == ("WARNING", words % failed)
    assert failed > 2, "only the first is reported"


def test_fields_are_redacted_by_name_also_without_a_loop(tmp_path: Path) -> None:
    path = tmp_path / "run"
    record = letta.RecordOptions(path, max_bytes=10**6, max_files=0)
    with (
        MockServer([script.turn("hush")]) as mock,
        sync.connect(mock.url, record=record, redact=["content"]) as client,
    ):
        assert client.session(agent_id="a").run("secretly").text == "hush"
        assert client.stats.unrecorded == 0
    text = path.read_text()
    assert "secretly" not in text
    assert "hush" not in text
    with sync.connect(letta.replay(path)) as client:
        assert client.session(agent_id="a").run("?").text == "[redacted]"


def test_a_text_that_was_cut_in_a_character_is_redacted_and_played(tmp_path: Path) -> None:
    path = tmp_path / "run"
    # JavaScript's parser takes half a surrogate pair, and servers send it on.
    prompt = "PRIVATE \ud83d"
    with (
        MockServer([script.turn("42")]) as mock,
        sync.connect(mock.url, record=path, redact=["messages"]) as client,
    ):
        assert client.session(agent_id="a").run(prompt).text == "42"
    text = path.read_text()
    assert "PRIVATE" not in text
    assert '"raw"' not in text
    every: list[dict[str, Any]] = [{}, {"redact": lambda frame, _: frame}]
    for options in every:
        with (
            MockServer([script.turn("42")]) as mock,
            sync.connect(mock.url, record=path, **options) as client,
        ):
            client.session(agent_id="a").run(prompt)
        assert "PRIVATE" in path.read_text()
        with sync.connect(letta.replay(path)) as client:
            assert client.session(agent_id="a").run(prompt).text == "42"


def test_fields_are_redacted_in_arguments_that_are_json_in_json(tmp_path: Path) -> None:
    path = tmp_path / "run"
    call = script.call("Bash", {"command": "curl -H hunter2", "n": 4711}, needs_approval=True)
    with (
        MockServer([script.turn(tool_calls=[call])]) as mock,
        sync.connect(mock.url, record=path, redact=["command"]) as client,
        client.session(agent_id="a", approvals=lambda _: letta.allow()) as session,
    ):
        session.run("go")
    text = path.read_text()
    assert "hunter2" not in text
    assert r"{\"command\":\"[redacted]\",\"n\":4711}" in text.replace(" ", "")


# A file that may not become longer is a full disk for the process, until it may. The first turn,
# which is played back afterwards, is written by then.
FULL = """
import asyncio, logging, pathlib, resource, sys
import letta_app_client as letta
from letta_app_client.testing import MockServer, script

async def main():
    with MockServer([script.turn("short")]) as mock:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        async with letta.connect(mock.url, record=sys.argv[1]) as client:
            session = await client.session(agent_id="agent-1")
            await session.run("first")
            written = pathlib.Path(sys.argv[1])
            while "turn_finished" not in written.read_text():
                await asyncio.sleep(0.02)
            resource.setrlimit(resource.RLIMIT_FSIZE, (written.stat().st_size + 1024, most))
            while client.stats.unrecorded < 10:
                await session.run("x")
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            before, last = -1, 0
            while last != before:
                await asyncio.sleep(0.6)
                before, last = last, client.stats.unrecorded
                await session.run("x")
            await session.run("last")
        print(client.stats.unrecorded)

logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_a_recording_goes_on_when_a_full_disk_has_room_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    command = [sys.executable, "-c", FULL, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    missing = int(done.stdout)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    notes = [line["text"] for line in lines if line.get("event") == "note"]
    assert len(notes) == 2
    assert notes[1].startswith(f"{missing} lines are missing: they could not be written (")
    assert "last" in json.dumps(lines[-20:])
    told = done.stderr.splitlines()
    assert len(told) == 2
    first = f"WARNING lines are missing in the recording {path}: they could not be written ("
    assert told[0].startswith(first)
    closed = f"WARNING the client is closed, and lines are missing in its recording: {missing}"
    assert told[1] == closed
    with sync.connect(letta.replay(path)) as client:
        assert client.session(agent_id="agent-1").run("first").text == "short"


@pytest.mark.anyio
async def test_one_that_only_watches_gets_the_frames(tmp_path: Path) -> None:
    path = TRACES / "single/approval_allow.jsonl"
    recorded = [json.loads(line) for line in path.read_text().splitlines()]
    frames = [line["frame"] for line in recorded if line.get("dir") == "recv"]
    connecting = letta.connect(letta.replay(path, wait=False))
    async with connecting.client.messages() as messages, connecting:
        got = []
        with pytest.raises(letta.Disconnected):  # noqa: PT012 - an iteration ends so
            async for message in messages:
                got.append(message.raw)  # noqa: PERF401 - it ends with an exception
    assert got == frames


async def later(frame: dict[str, Any], _: str) -> dict[str, Any]:
    return frame


def one(frame: dict[str, Any]) -> dict[str, Any]:
    return frame


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"record": 1}, "record: expected a path or RecordOptions"),
        ({"redact": ["a"]}, "redact: there is no recording"),
        ({"record": "f", "redact": 1}, "redact: expected a function or names of fields"),
        ({"record": "f", "redact": later}, "redact: expected a function that returns the frame"),
        (
            {"record": "f", "redact": one},
            "redact: expected a function that can be called with the frame",
        ),
        ({"record": "/does/not/exist/f"}, "record: cannot write /does/not/exist/f"),
    ],
)
def test_what_cannot_be_used_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(letta.InvalidOption, match=f"^{message}"):
        letta.connect("ws://127.0.0.1:1", **options)


@pytest.mark.anyio
async def test_each_client_needs_a_file_of_its_own(tmp_path: Path) -> None:
    with MockServer() as mock:
        options = letta.ConnectOptions(url=mock.url, record=tmp_path / "run")
        async with letta.connect(options):
            with pytest.raises(letta.InvalidOption, match="another recording is being written"):
                letta.connect(options)
        async with letta.connect(options):
            pass


def test_what_cannot_be_played_is_refused() -> None:
    with pytest.raises(letta.InvalidOption, match=r"^replay: cannot read /nowhere"):
        letta.connect(letta.replay("/nowhere"))
    with pytest.raises(letta.InvalidOption, match=r"^replay: cannot read /nowhere"):
        letta.replay("/nowhere").events()
    with pytest.raises(letta.InvalidOption, match=r"^replay: expected a speed"):
        letta.connect(letta.replay(TRACES / "single/simple_turn.jsonl", -1))
