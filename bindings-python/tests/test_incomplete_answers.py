"""Answers that agree, but have not what was asked for, are errors with words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import letta_app_client as letta
from letta_app_client.testing import MockServer

pytestmark = pytest.mark.anyio


async def program(target: Any, **options: Any) -> letta.Session:
    """Starts a conversation and copies it."""
    async with letta.connect(target, **options) as client:
        session = await client.session(agent_id="agent-1")
        return await session.fork()


@pytest.fixture
async def told(tmp_path: Path) -> Any:
    """Gives what the program raises where a field of one kind of answer is another one."""
    path = tmp_path / "run.letta.jsonl"
    with MockServer() as mock:
        await program(mock.url, record=path)
    lines = path.read_text().splitlines()

    async def raised(kind: str, name: str, **other: Any) -> letta.RequestError:
        written = []
        for line in map(json.loads, lines):
            frame = line.get("frame")
            if isinstance(frame, dict) and frame.get("type") == kind:
                del frame[name]
                frame.update(other)
            written.append(json.dumps(line))
        path.write_text("\n".join(written) + "\n")
        with pytest.raises(letta.RequestError) as caught:
            await program(letta.replay(path))
        return caught.value

    return raised


@pytest.mark.parametrize(
    ("other", "given"),
    [
        ({}, "nothing"),
        ({"runtime": None}, "null"),
        ({"runtime": "conv-1"}, '"conv-1"'),
        ({"runtime": {"agent_id": "a"}}, '{"agent_id": "a"}'),
        ({"runtime": {"agent_id": "a", "conversation_id": 5}}, '{"agent_id": "a", "conversation_'),
    ],
)
async def test_a_start_without_a_runtime(told: Any, other: dict[str, Any], given: str) -> None:
    error = await told("runtime_start_response", "runtime", **other)
    assert str(error).startswith(
        "runtime_start was answered, but field `runtime`: expected an agent_id and a "
        f"conversation_id, got {given}"
    )
    assert error.response is not None
    assert error.response.success is True


@pytest.mark.parametrize(
    ("other", "given"),
    [({}, "nothing"), ({"conversation": None}, "null"), ({"conversation": {"id": 5}}, '{"id": 5}')],
)
async def test_a_copy_without_a_conversation(told: Any, other: dict[str, Any], given: str) -> None:
    error = await told("conversation_fork_response", "conversation", **other)
    assert str(error) == (
        "conversation_fork was answered, but field `conversation`: expected an object with an id, "
        f"got {given}"
    )
