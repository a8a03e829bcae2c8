"""Wherever a recording breaks off, every turn ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from letta_app_client import TurnResult
from tests.replaying import first_input, outcomes, recorded

RECORDINGS = [
    "single/simple_turn",
    "single/approval_parallel",
    "single/abort_mid_stream",
    "single/queued_two_coalesced",
    "single/queued_during_tool_merged",
    "single/llm_error_recovers",
    "single/external_tool_slow",
    "single/queue_two_clients",
    "split/simple_turn",
    "split/approval_allow",
    "split/abort_during_tool",
    "split/llm_error_500",
]


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_turn_ends_where_the_recording_is_cut(name: str, tmp_path: Path) -> None:
    first, last = first_input(name), len(recorded(name))
    counts = {first, *(first + (last - first) * part // 4 for part in range(1, 5)), last - 1}

    async def main() -> None:
        ended = await asyncio.gather(*(outcomes(name, tmp_path, count) for count in counts))
        at_once = ended[list(counts).index(first)]
        # Nothing was heard of the turn but that it was sent.
        assert not any(isinstance(outcome, TurnResult) for outcome in at_once)

    asyncio.run(main())
