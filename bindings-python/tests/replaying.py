"""Plays recordings, whole or cut short, and gives what became of their inputs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Literal

from letta_app_client import LettaAppError, TurnResult
from letta_app_client.testing import MockServer
from letta_app_client.testing.conformance import Replay

TRACES = Path(__file__).parents[2] / "protocol" / "traces"
EXPECTED: dict[str, list[Any]] = json.loads((TRACES / "EXPECTED.json").read_text())["inputs"]

AFTER_THE_END = 5.0
"""Seconds that a turn may wait once the server has closed the connections."""


def recorded(name: str) -> list[str]:
    """The lines of a recording such as ``single/simple_turn``."""
    return (TRACES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()


def first_input(name: str) -> int:
    """How many lines there are up to the first input that is expected to be known."""
    sent = min(entry["sent_t_ms"] for entry in EXPECTED[f"{name}.jsonl"])
    for index, line in enumerate(recorded(name)):
        fields = json.loads(line)
        frame = fields.get("frame")
        is_input = isinstance(frame, dict) and frame.get("type") == "input"
        if is_input and fields["dir"] == "send" and fields["t_ms"] >= sent:
            return index + 1
    raise AssertionError(f"{name} has no input")


async def outcomes(
    name: str, folder: Path, count: int | None = None
) -> list[TurnResult | LettaAppError]:
    """Plays the first lines of a recording, then the server closes; gives how the turns ended.

    Raises:
        AssertionError: One of them did not end.
    """
    lines = recorded(name)[:count]
    path = folder / f"{name.replace('/', '-')}-{len(lines)}.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    generation: Literal["single", "split"] = "split" if name.startswith("split/") else "single"
    mock = MockServer.play(path, generation)
    expected = EXPECTED[f"{name}.jsonl"]
    replay = Replay(mock, expected, acknowledged=generation == "single")
    try:
        for line in lines:
            await replay.step(json.loads(line))
        assert await asyncio.to_thread(mock.wait_done, 10), mock.failure
        assert mock.failure is None
        turns = replay.turns
        assert turns, "no turn was begun"
        _, waiting = await asyncio.wait(turns, timeout=AFTER_THE_END)
        assert not waiting, f"{name}, {len(lines)} lines: {len(waiting)} turns still wait"
        ended = await asyncio.gather(*turns, return_exceptions=True)
    finally:
        await replay.close()
    found: list[TurnResult | LettaAppError] = []
    for one in ended:
        assert isinstance(one, (TurnResult, LettaAppError)), repr(one)
        found.append(one)
    return found
