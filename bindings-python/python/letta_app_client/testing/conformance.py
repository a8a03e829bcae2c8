"""Plays recordings to clients and compares what ``run_turn`` reports with ``EXPECTED.json``."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from letta_app_client import AppServerClient, LettaAppError, TurnResult, create_app_server_client

from .expected import Outcome, differences
from .server import MockServer

__all__ = ["Report", "run"]

STEP_LIMIT = 10.0
TURN_LIMIT = 15.0


@dataclass
class Report:
    """How many inputs were as expected; a recording that cannot be replayed counts as a failure."""

    passed: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)


class ReplayError(Exception):
    """The recording could not be followed."""


async def run(folder: Path, jobs: int = 16) -> Report:
    """Replays every recording of ``single/`` and ``split/``, several at a time."""
    inputs = _read(folder / "EXPECTED.json")[0]["inputs"]
    report, limit = Report(), asyncio.Semaphore(jobs)

    async def one(path: Path, generation: Literal["single", "split"]) -> None:
        name = f"{generation}/{path.name}"
        lines = _read(path)
        expected = inputs.get(name, [])
        refused = any(line.get("event") == "upgrade_rejected" for line in lines)
        opened = any(line.get("event") == "open" for line in lines)
        if not expected and (refused or not opened):
            return
        async with limit:
            await _replay(report, name, MockServer.play(path, generation), lines, expected)

    kinds: tuple[Literal["single", "split"], ...] = ("single", "split")
    await asyncio.gather(
        *(one(path, kind) for kind in kinds for path in sorted((folder / kind).glob("*.jsonl")))
    )
    report.failures.sort()
    return report


def _read(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return [json.loads(text)]
    return [json.loads(line) for line in text.splitlines() if line]


async def _replay(
    report: Report, name: str, mock: MockServer, lines: list[Any], expected: list[Any]
) -> None:
    replay = Replay(mock, expected, acknowledged=name.startswith("single/"))
    try:
        for line in lines:
            await replay.step(line)
        outcomes = await replay.finish()
    except (ReplayError, LettaAppError, TimeoutError, asyncio.TimeoutError) as error:
        report.failed += max(1, len(expected))
        report.failures.append(f"{name}: {type(error).__name__}: {error}; {mock.failure or ''}")
        return
    finally:
        await replay.close()
    for wanted, got in zip(expected, outcomes, strict=True):
        found = differences(wanted, got)
        report.failed += bool(found)
        report.passed += not found
        ids = ", ".join(wanted.get("client_message_ids", []))
        report.failures.extend(f"{name} [{ids}]: {difference}" for difference in found)


class _Client:
    """A client that stands for one connection of the recording."""

    def __init__(self, url: str) -> None:
        # The recorded inputs did not wait for the server to settle either, and clients were lost.
        self.api: AppServerClient = create_app_server_client(
            url=url, settle_pause=0, reconnect=False
        )
        self.channels: set[str] = set()
        self.wanted = 0
        self.seen = 0
        self._arrived = asyncio.Event()
        self.gone = asyncio.Event()
        self.api.on_message(self._count)
        self.api.on_disconnect(lambda _: self.gone.set())

    def _count(self, *_: object) -> None:
        self.seen += 1
        if self.seen >= self.wanted:
            self._arrived.set()

    async def caught_up(self) -> None:
        """Waits until everything recorded so far has been received."""
        self._arrived.clear()
        if self.seen < self.wanted and not self.gone.is_set():
            try:
                await asyncio.wait_for(self._arrived.wait(), STEP_LIMIT)
            except asyncio.TimeoutError:
                raise ReplayError(f"got {self.seen} of {self.wanted} frames") from None


class Replay:
    """Does what the recorded clients did, with an input of theirs as a turn where it is known."""

    def __init__(self, mock: MockServer, expected: list[Any], *, acknowledged: bool) -> None:
        self._mock = mock
        self._expected = expected
        self._acknowledged = acknowledged
        self._current: dict[str, _Client] = {}
        self._all: list[_Client] = []
        self._turns: dict[int, asyncio.Task[TurnResult]] = {}

    @property
    def turns(self) -> list[asyncio.Task[TurnResult]]:
        """The turns that were begun, in the order of what is expected of them."""
        return [self._turns[index] for index in sorted(self._turns)]

    async def step(self, line: dict[str, Any]) -> None:
        """Does what a line of the recording says."""
        label, channel = line.get("client", ""), line.get("channel", "")
        frame = line.get("frame")
        if line.get("event") == "open":
            await self._open(label, channel)
        elif line.get("event") == "close":
            await self._close(label, channel)
        elif isinstance(frame, dict) and isinstance(frame.get("type"), str):
            client = self._current.get(label)
            if client is None:
                raise ReplayError(f"client {label!r} is not connected at {line['t_ms']} ms")
            if line["dir"] == "recv":
                client.wanted += 1
            else:
                await client.caught_up()
                await self._send(client, line, frame)

    async def _open(self, label: str, channel: str) -> None:
        client = self._current.get(label)
        # The second socket of a pair; one that was lost is opened again by the client itself.
        if client is not None and channel not in client.channels:
            client.channels.add(channel)
            return
        client = self._current[label] = _Client(self._mock.url)
        client.channels.add(channel)
        self._all.append(client)
        await client.api.connect()

    async def _close(self, label: str, channel: str) -> None:
        client = self._current.get(label)
        if client is None:
            return
        client.channels.discard(channel)
        if channel != "stream":
            await asyncio.wait_for(client.gone.wait(), STEP_LIMIT)
            await client.api.close()
            del self._current[label]

    async def _send(self, client: _Client, line: dict[str, Any], frame: dict[str, Any]) -> None:
        index = self._find(line, frame)
        if index is None:
            client.api.send_raw(frame)
            return
        request_id = frame.get("request_id")
        if request_id is None and self._acknowledged:
            # Ours carries an id, so the player confirms it where the recording does not.
            client.wanted += 1
        call = client.api.run_turn(
            runtime=frame["runtime"],
            payload=frame["payload"],
            request_id=request_id,
            approvals="wait",
        )
        self._turns[index] = asyncio.ensure_future(call)
        # One step of the task hands the input over, in the order of the recording.
        await asyncio.sleep(0)

    def _find(self, line: dict[str, Any], frame: dict[str, Any]) -> int | None:
        payload = frame.get("payload")
        messages = payload.get("messages") if isinstance(payload, dict) else None
        if not isinstance(messages, list):
            return None
        ids = [it["client_message_id"] for it in messages if "client_message_id" in it]
        place = (line["t_ms"], line.get("client"), ids)
        for index, wanted in enumerate(self._expected):
            known = (wanted.get("sent_t_ms"), wanted.get("client"), wanted["client_message_ids"])
            if ids and known == place and index not in self._turns:
                return index
        return None

    async def finish(self) -> list[Outcome]:
        """Waits for the end of all turns: the player closes its connections."""
        missing = [it for index, it in enumerate(self._expected) if index not in self._turns]
        if missing:
            raise ReplayError(f"inputs not found in the recording: {missing}")
        turns = self.turns
        if turns:
            await asyncio.wait(turns, timeout=TURN_LIMIT)
            if any(not turn.done() for turn in turns):
                raise ReplayError(f"a turn did not end within {TURN_LIMIT} s")
        if not await asyncio.to_thread(self._mock.wait_done, STEP_LIMIT) or self._mock.failure:
            raise ReplayError("the recording was not played to its end")
        return await asyncio.gather(*turns, return_exceptions=True)

    async def close(self) -> None:
        """Ends everything."""
        for turn in self._turns.values():
            turn.cancel()
        await asyncio.gather(*self._turns.values(), return_exceptions=True)
        for client in self._all:
            await client.api.close()
        await asyncio.to_thread(self._mock.close)
