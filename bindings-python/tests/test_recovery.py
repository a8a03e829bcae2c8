"""Turns whose connection is lost are looked for on the next one (protocol section 16)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import Reconnect
from letta_app_client import sync as blocking
from letta_app_client.testing import MockServer, script

from .helpers import message

pytestmark = pytest.mark.anyio
Scripted = Callable[..., MockServer]

FAST = Reconnect(base=0.01, cap=0.02)
LOST = script.turn(lose_input=True)
GENERATIONS = pytest.mark.parametrize("generation", ["single", "split"])


def inputs(server: MockServer) -> list[dict[str, Any]]:
    """What was sent."""
    return [frame.to_dict() for frame in server.received if frame.type == "input"]


@GENERATIONS
async def test_run_sends_an_input_again_that_was_lost(scripted: Scripted, generation: str) -> None:
    server = scripted(LOST, script.turn("Here."), generation=generation)
    async with letta.connect(server.url, reconnect=FAST) as client:
        session = await client.session(agent_id="a")
        result = await session.run("Are you there?")
    assert (result.text, result.delivery) == ("Here.", "resent")
    first, second = inputs(server)
    assert first == second


async def test_other_calls_leave_it_to_the_caller(scripted: Scripted) -> None:
    server = scripted(LOST, script.turn("Here."), LOST, script.turn("Here."), LOST)
    async with letta.connect(server.url, reconnect=FAST) as client:
        session = await client.session(agent_id="a")
        with pytest.raises(letta.TurnInterrupted) as caught:
            await session.send("Are you there?")
        assert caught.value.result is not None
        assert caught.value.result.delivery == "undelivered"
        assert (await session.run("And now?")).delivery == "sent"
        result = await client.run_turn(
            runtime=session.runtime, payload=message("Hello?"), resend="if_uncommitted"
        )
        assert result.delivery == "resent"
        with pytest.raises(letta.TurnInterrupted) as caught:
            await session.run("Are you sure?", recover_timeout=0)
        assert caught.value.result is not None
        assert caught.value.result.delivery == "unknown"


@GENERATIONS
async def test_an_answer_that_was_cut_is_read_from_the_store(
    scripted: Scripted, generation: str
) -> None:
    server = scripted(script.turn(["a", "b", "c"], disconnect_after=2), generation=generation)
    async with letta.connect(server.url, reconnect=FAST) as client:
        session = await client.session(agent_id="a")
        with pytest.raises(letta.TurnInterrupted) as caught:
            await session.run("Go")
    result = caught.value.result
    assert result is not None
    assert (result.text, result.status, result.delivery) == ("ab", "disconnected", "recovered")
    assert len(inputs(server)) == 1


async def test_a_turn_that_somebody_else_watches_goes_on(scripted: Scripted) -> None:
    pieces = [f"{n} " for n in range(40)]
    server = scripted(script.turn(pieces, delay_ms=10))
    runtime = {"agent_id": "a", "conversation_id": "c"}
    async with (
        letta.connect(server.url) as watcher,
        letta.connect(server.url, reconnect=FAST) as client,
    ):
        await watcher.sync(runtime=runtime)
        turn = client.send_turn(runtime=runtime, payload=message())
        kinds = []
        async for event in turn:
            if event.type == "assistant_delta" and "assistant_delta" not in kinds:
                server.cut_connection(1)
            kinds.append(event.type)
        result = await turn
    assert kinds.count("resumed") == 1
    assert (result.text, result.delivery) == ("".join(pieces), "recovered")


async def test_a_turn_says_that_it_is_looked_for(scripted: Scripted) -> None:
    server = scripted(script.turn(hang=True))
    slow = Reconnect(base=36_000, cap=36_000)
    async with letta.connect(server.url, reconnect=slow) as client:
        session = await client.session(agent_id="a")
        turn = session.send("Go")
        lost = anyio.Event()
        client.on_state(lambda state, _: lost.set() if state == "reconnecting" else None)
        async for _ in turn.stream_text():
            server.cut_connections()
            with anyio.fail_after(10):
                await lost.wait()
            assert turn.status == "recovering"
            assert turn.explain().startswith("recovering ")
            turn.detach()


def test_the_blocking_facade_does_the_same(scripted: Scripted) -> None:
    server = scripted(LOST, script.turn("Here."))
    with blocking.connect(server.url, reconnect=FAST) as client:
        result = client.session(agent_id="a").run("Are you there?")
    assert (result.text, result.delivery) == ("Here.", "resent")


@pytest.mark.parametrize("wrong", ["always", None, 1])
async def test_what_cannot_be_meant_is_refused(scripted: Scripted, wrong: Any) -> None:
    server = scripted()
    async with letta.connect(server.url) as client:
        session = await client.session(agent_id="a")
        with pytest.raises(letta.InvalidOption, match='resend: expected "if_uncommitted" or'):
            await session.run("Go", resend=wrong)
        with pytest.raises(letta.InvalidOption, match="recover_timeout: expected seconds"):
            await session.run("Go", recover_timeout=-1)
