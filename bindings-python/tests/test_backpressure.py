"""Readers who do not keep up: nothing that matters is lost, and what is lost is counted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient
from letta_app_client.testing import MockServer, script
from tests.helpers import RUNTIME, message, start

pytestmark = pytest.mark.anyio

PIECES = 80_000


@pytest.fixture
async def client(mock: MockServer) -> AsyncIterator[AppServerClient]:
    async with letta.connect(mock.url) as client:
        await client.info()
        yield client


def changed(path: str) -> dict[str, Any]:
    return {"type": "file_changed", "path": path, "lastModified": 1.5}


def finished(turn_id: str) -> dict[str, Any]:
    return {"type": "turn_finished", "turn_id": turn_id, "runtime": RUNTIME}


# The server double, which is built for tests, takes most of the time.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_loop_that_was_blocked_has_the_whole_text(anyio_backend: str) -> None:
    flood = script.turn(
        text=[f"{number};" for number in range(PIECES)], tool_calls=[("Read", {"path": "a"})]
    )
    with MockServer([flood]) as mock:
        async with letta.connect(mock.url) as client:
            turn = client.send_turn(runtime=await start(client), payload=message())
            ends = client.messages("turn_finished", overflow="raise")
            while client.stats.frames < PIECES:
                time.sleep(0.01)  # noqa: ASYNC251 - the loop is blocked on purpose
            text, given, marked, calls = "", 0, 0, 0
            async for event in turn:
                match event:
                    case letta.EventsDropped(dropped=dropped, merged=merged):
                        assert dropped == 0
                        marked += merged
                    case letta.AssistantDelta(text=more):
                        text += more
                        given += 1
                    case letta.ToolCallStart() | letta.ToolCallEnd():
                        calls += 1
            result = await turn
            assert text == result.text == "".join(f"{number};" for number in range(PIECES))
            assert given + marked == PIECES
            assert given < 65_536
            assert (calls, result.status) == (2, "completed")
            # Of frames the oldest were lost, but never this one.
            assert client.stats.dropped > 0
            assert (await anext(ends)).type == "turn_finished"


async def test_what_ends_a_turn_stays_where_others_go(
    client: AppServerClient, mock: MockServer
) -> None:
    async with client.messages(limit=3) as few, client.messages("last") as last:
        for number in range(5):
            mock.push(finished(str(number)))
            mock.push(changed(f"/{number}"))
        mock.push({"type": "last"})
        await anext(last)
        with anyio.fail_after(5):
            seen = [(await anext(few)).raw for _ in range(5)]
        # The limit is full of frames that stay.
        assert seen == [finished(str(number)) for number in range(5)]
        assert few.dropped == 6
        mock.push({"type": "last"})
        assert (await anext(few)).type == "last"


async def test_bytes_count_as_well_as_frames(client: AppServerClient, mock: MockServer) -> None:
    async with client.messages("large", max_bytes=5000) as few, client.messages("last") as last:
        for number in range(10):
            mock.push({"type": "large", "number": number, "text": "x" * 1000})
        mock.push({"type": "last"})
        await anext(last)
        assert few.dropped == 6
        mock.push({"type": "large", "number": 10, "text": "x" * 9000})
        mock.push({"type": "last"})
        await anext(last)
        assert (await anext(few)).number == 10
        assert few.dropped == 10


async def test_a_reader_who_wants_to_be_told(client: AppServerClient, mock: MockServer) -> None:
    few = client.messages("file_changed", limit=3, overflow="raise")
    async with client.messages("last") as last:
        for number in range(5):
            mock.push(changed(f"/{number}"))
        mock.push({"type": "last"})
        await anext(last)
        assert [(await anext(few)).path for _ in range(3)] == ["/0", "/1", "/2"]
        with pytest.raises(letta.Lagged, match="2 messages are missing") as raised:
            await anext(few)
        assert (raised.value.dropped_count, raised.value.code) == (2, "lagged")
        mock.push(changed("/5"))
        mock.push({"type": "last"})
        await anext(last)
        assert [one async for one in few] == []


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"limit": 0}, "limit"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"max_bytes": "1"}, "max_bytes"),
        ({"overflow": "block"}, "overflow"),
    ],
)
async def test_options_that_cannot_be_used(
    client: AppServerClient, options: dict[str, Any], name: str
) -> None:
    with pytest.raises((letta.InvalidOption, TypeError), match=name):
        client.messages(**options)
