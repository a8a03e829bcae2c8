"""Recordings, and clients that play with one in place of a server."""

from __future__ import annotations

import json
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
async def test_a_function_says_how_frames_are_written(tmp_path: Path) -> None:
    path = tmp_path / "run"
    seen = []

    def redact(frame: dict[str, Any], direction: str) -> Mapping[str, Any] | None:
        seen.append((direction, frame["type"]))
        if frame["type"] == "update_device_status":
            return None
        if frame["type"] == "update_queue":
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
    assert unrecorded == failed == seen.count(("recv", "update_queue")) > 0
    assert "update_device_status" not in text
    assert "update_queue" not in text
    assert "s3cret" not in text
    assert [it for it in seen if it[0] == "send"] == sent
    assert ("recv", "update_device_status") in seen


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
