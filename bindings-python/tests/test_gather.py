"""Turns that were sent already, waited for together."""

from __future__ import annotations

import asyncio
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client.testing import MockServer, script
from tests.helpers import message

pytestmark = pytest.mark.anyio


async def opened(client: letta.AppServerClient, *agents: str) -> list[letta.Session]:
    return [await client.session(agent_id=agent) for agent in agents]


async def received(mock: MockServer, kind: str, times: int) -> None:
    assert await anyio.to_thread.run_sync(lambda: mock.wait_received(kind, times))


async def test_items_come_in_the_order_of_the_turns(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("one"), script.turn("two"), script.turn("three"))
    steps: list[tuple[int, int]] = []
    parts = [{"type": "text", "text": "b"}]
    async with letta.connect(mock.url) as client:
        here, there = await opened(client, "x", "y")
        first = here.send("a")
        # The double plays its turns in the order of the inputs.
        await received(mock, "input", 1)
        second = there.send(parts)
        await received(mock, "input", 2)
        (other,) = await opened(client, "z")
        third = client.send_turn(runtime=other.runtime, payload=message("c"))
        assert (first.prompt, first.agent_id) == ("a", "x")
        with anyio.fail_after(10):
            batch = await letta.gather(
                third, first, second, progress=lambda *step: steps.append(step)
            )
        # Of what has ended, again and at once.
        items: dict[int, Any] = {}
        given = (third, first, second, first)
        again = await letta.gather(*given, on_item=lambda *item: items.update([item]))
        assert again[:3] == batch
        assert items == dict(enumerate(again))
    assert [(item.prompt, item.agent_id, item.text) for item in batch] == [
        ("c", "z", "three"),
        ("a", "x", "one"),
        (parts, "y", "two"),
    ]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert batch[1].result is await first
    assert batch.errors == ()
    assert batch.usage.total_tokens == 3 * 12


async def test_turns_that_fail_are_errors_as_of_map(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("half", error="no credits"))
    async with letta.connect(mock.url) as client:
        session = await client.session(agent_id="x")
        (mapped,) = await letta.map(client, ["a"], agents=["x"])
        turn = session.send("a")
        with anyio.fail_after(10):
            batch = await letta.gather(turn, turn)
        # By itself it gives its result.
        result = await turn
    item, again = batch
    assert item is again
    for one in (item, mapped):
        assert type(one.error) is letta.TurnFailed
        assert str(one.error) == "the turn failed: no credits"
        assert (one.prompt, one.agent_id, one.result, one.text) == ("a", "x", None, "half")
    assert isinstance(item.error, letta.TurnFailed)
    assert item.error.result is result
    assert item.error.__traceback__ is None
    # It was paid for once.
    assert batch.usage == item.usage == result.usage


async def test_every_end_is_told_in_its_item(scripted: Callable[..., MockServer]) -> None:
    asking = script.turn("may I", tool_calls=[script.call("Bash", {}, needs_approval=True)])
    mock = scripted(script.turn("half", hang=True), asking, script.turn("lost", hang=True))
    async with letta.connect(mock.url, reconnect=False) as client:
        sessions = await opened(client, "x", "y", "z")
        stopped = sessions[0].send("a")
        await received(mock, "input", 1)
        paused = sessions[1].send("b", approvals="pause")
        await received(mock, "input", 2)
        lost = sessions[2].send("c")
        await received(mock, "input", 3)
        detached = sessions[0].send("d")
        detached.detach()
        await stopped.abort()
        await paused
        mock.cut_connections()
        with anyio.fail_after(10):
            batch = await letta.gather(stopped, paused, lost, detached)
    assert [type(item.error) for item in batch] == [
        letta.TurnAborted,
        letta.ApprovalRequired,
        letta.TurnInterrupted,
        letta.TurnInterrupted,
    ]
    error = batch[1].error
    assert isinstance(error, letta.ApprovalRequired)
    assert error.request is not None
    assert error.request.tool_name == "Bash"


async def test_the_error_that_is_raised_can_be_answered(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(script.turn("done", tool_calls=[script.call("Bash", needs_approval=True)]))
    async with letta.connect(mock.url) as client:
        (session,) = await opened(client, "x")
        with anyio.fail_after(10), pytest.raises(letta.ApprovalRequired) as raised:
            await letta.gather(session.send("a", approvals="pause"), check=True)
        raised.value.respond(letta.allow())
        await received(mock, "input", 2)


async def test_the_first_error_stops_all_when_checked(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("on and on", hang=True), script.turn("half", error="no credits"))
    async with letta.connect(mock.url) as client:
        here, there = await opened(client, "x", "y")
        going = here.send("a")
        await received(mock, "input", 1)
        with anyio.fail_after(10), pytest.raises(letta.TurnFailed, match="no credits"):
            await letta.gather(going, there.send("b"), check=True)
        assert (await going).status == "aborted"
    mock.assert_received("abort_message", times=1)


async def test_cancelling_stops_every_turn(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("on and on", hang=True))
    async with letta.connect(mock.url) as client:
        sessions = await opened(client, "x", "y", "z")
        turns = [session.send("?") for session in sessions]
        await received(mock, "input", 3)
        with anyio.fail_after(10), anyio.CancelScope() as scope:
            scope.cancel()
            await letta.gather(*turns)
        assert scope.cancelled_caught
        assert [(await turn).status for turn in turns] == ["aborted"] * 3
    mock.assert_received("abort_message", times=3)


async def test_a_batch_can_be_kept(scripted: Callable[..., MockServer]) -> None:
    call = script.call("Bash", needs_approval=True)
    mock = scripted(script.turn("may I", tool_calls=[call]))
    async with letta.connect(mock.url) as client:
        (session,) = await opened(client, "x")
        gathered = await letta.gather(session.send("a", approvals="raise"))
        mapped = await letta.map(client, ["a"], agents="y", approvals="raise")
    gone = weakref.ref(client)
    del client, session
    gc.collect()
    assert gone() is None
    for batch in (gathered, mapped):
        (error,) = batch.errors
        assert isinstance(error, letta.ApprovalRequired)
        assert error.request is not None
        with pytest.raises(letta.ClientClosed):
            error.respond(letta.allow())
        copied = pickle.loads(pickle.dumps(batch))  # noqa: S301
        assert copied.usage == batch.usage
        with pytest.raises(letta.InvalidOption, match=r"respond: .*copied by a program"):
            copied.errors[0].respond(letta.allow())


async def test_the_error_of_an_item_can_be_answered(scripted: Callable[..., MockServer]) -> None:
    call = script.call("Bash", needs_approval=True)
    mock = scripted(script.turn("may I", tool_calls=[call]))
    async with letta.connect(mock.url) as client:
        (session,) = await opened(client, "x")
        gathered = await letta.gather(session.send("a", approvals="raise"))
        mapped = await letta.map(client, ["a"], agents="y", approvals="raise")
        for batch in (gathered, mapped):
            (error,) = batch.errors
            assert isinstance(error, letta.ApprovalRequired)
            error.respond(letta.allow())
        with anyio.fail_after(10):
            await received(mock, "input", 4)
    answers = [frame.payload for frame in mock.received if frame.type == "input"][2:]
    assert [answer.kind for answer in answers] == ["approval_response"] * 2


async def test_a_progress_that_fails_is_logged(
    mock: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(done: int, _: int) -> None:
        raise LookupError(done)

    async with letta.connect(mock.url) as client:
        here, there = await opened(client, "x", "y")
        batch = await letta.gather(here.send("a"), there.send("b"), progress=fails)
    assert len(batch.results) == 2
    assert caplog.text.count("progress: the bar or the function raised") == 2


async def test_a_bar(mock: MockServer, capsys: pytest.CaptureFixture[str]) -> None:
    async with letta.connect(mock.url) as client:
        session = await client.session(agent_id="x")
        await letta.gather(session.send("a"), session.send("b"), progress=True)
    assert "2/2" in capsys.readouterr().err


async def test_nothing_to_wait_for() -> None:
    batch = await letta.gather()
    assert (len(batch), batch.usage) == (0, letta.Usage())


async def test_what_is_not_usable_stops_nothing(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("on and on", hang=True))
    async with letta.connect(mock.url) as client:
        session = await client.session(agent_id="x")
        turn = session.send("a")
        await received(mock, "input", 1)
        given: Any
        options: Any
        for given, options, words in (
            (
                [[turn]],
                {},
                r"^turns: expected what send returned, got list \(pass several as gather",
            ),
            ([turn, session.run("b")], {}, "^turns: .*got coroutine"),
            ([turn], {"progress": "yes"}, "^progress: "),
            ([turn], {"on_item": "yes"}, "^on_item: "),
        ):
            with pytest.raises(letta.InvalidOption, match=words):
                await letta.gather(*given, **options)
            for one in given:
                if hasattr(one, "close"):
                    one.close()
        await client.info()
        mock.assert_received("abort_message", times=0)
        await turn.abort()


async def test_another_loop_is_refused(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        turn = (await client.session(agent_id="x")).send("a")
        await turn

        async def elsewhere() -> None:
            with pytest.raises(letta.WrongLoop):
                await letta.gather(turn)

        await anyio.to_thread.run_sync(lambda: asyncio.run(elsewhere()))


def test_asyncio_itself_gathers_turns_and_gives_their_results(mock: MockServer) -> None:
    async def main() -> None:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="x")
            results = await asyncio.gather(session.send("a"), session.send("b"))
            assert [result.text for result in results] == ["Hello world"] * 2

    asyncio.run(main())


async def test_what_turns_share_is_counted_once(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("one", delay_ms=50), script.turn("both"))
    async with letta.connect(mock.url) as client:
        (session,) = await opened(client, "x")
        first = session.send("a")
        await received(mock, "input", 1)
        # They wait in the queue, and are answered together.
        batch = await letta.gather(first, session.send("b"), session.send("c"))
        used = session.usage
    assert [item.text for item in batch] == ["one", "both", "both"]
    totals = [result.usage.total_tokens for result in batch.results]
    own = [result.own_usage and result.own_usage.total_tokens for result in batch.results]
    assert (totals, own) == ([12, 12, 12], [None, None, 0])
    assert batch.usage.total_tokens == used.total_tokens == 24
    plain = batch.results[2].to_dict()
    assert letta.TurnResult.from_raw(plain) == batch.results[2]
