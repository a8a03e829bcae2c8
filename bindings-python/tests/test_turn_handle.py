from __future__ import annotations

import copy
import gc
import pickle
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

import letta_app_client as letta
import letta_app_client.sync
from letta_app_client import AppServerClient, Fields, Turn, TurnEvent, TurnFinished
from letta_app_client.testing import MockServer, script
from tests.helpers import frame_seen, message, start, text_seen

pytestmark = pytest.mark.anyio
Scripted = Callable[..., MockServer]


@asynccontextmanager
async def connected(mock: MockServer, **options: Any) -> AsyncIterator[tuple[AppServerClient, Any]]:
    async with letta.connect(mock.url, settle_pause=0, **options) as client:
        runtime = await start(client)
        with anyio.fail_after(10):
            yield client, runtime


async def kinds(turn: Turn) -> list[str]:
    return [event.type async for event in turn]


async def test_a_turn_is_iterated_and_awaited(scripted: Scripted) -> None:
    mock = scripted(script.turn(["4", "2"], tool_calls=[("Read", {"path": "a.py"})]))
    async with connected(mock) as (client, runtime):
        turn = client.send_turn(runtime=runtime, payload=message())
        events: list[TurnEvent] = [event async for event in turn]
        result = await turn
        assert await turn is result
    told = [event.type for event in events if event.type != "status"]
    assert told == [
        "run_started",
        "tool_call_start",
        "tool_call_arguments",
        "usage",
        "tool_call_end",
        "run_started",
        "assistant_delta",
        "assistant_delta",
        "usage",
        "finished",
    ]
    match events[-1]:
        case TurnFinished(last):
            assert last is result
        case other:
            pytest.fail(f"{other!r} came last")
    assert (result.status, result.text) == ("completed", "42")
    assert turn.status == "completed"
    assert turn.explain().startswith("completed after ")
    assert repr(turn) == "<Turn completed>"


async def test_a_turn_is_awaited_first_and_iterated_later(mock: MockServer) -> None:
    async with connected(mock) as (client, runtime):
        turn = client.send_turn(runtime=runtime, payload=message())
        result = await turn
        events = [event async for event in turn]
        texts = [event.text for event in events if isinstance(event, letta.AssistantDelta)]
        assert "".join(texts) == result.text == "Hello world"
        assert await kinds(turn) == ["finished"]


async def test_several_tasks_await_one_turn(scripted: Scripted) -> None:
    mock = scripted(script.turn("text", hang=True))
    async with connected(mock) as (client, runtime):
        seen = text_seen(client)
        turn = client.send_turn(runtime=runtime, payload=message())
        results: list[letta.TurnResult] = []

        async def wait() -> None:
            results.append(await turn)

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)
            await seen.wait()
            results.append(await turn.abort())
        assert [result.status for result in results] == ["aborted"] * 3
        assert results[0] is results[1] is results[2]


async def test_one_task_at_a_time_reads(scripted: Scripted) -> None:
    mock = scripted(script.turn("text", hang=True))
    async with connected(mock) as (client, runtime):
        seen = text_seen(client)
        turn = client.send_turn(runtime=runtime, payload=message())
        read: list[str] = []

        async def reader() -> None:
            read.extend(await kinds(turn))

        async with anyio.create_task_group() as group:
            group.start_soon(reader)
            await seen.wait()
            with pytest.raises(RuntimeError, match="another task"):
                await kinds(turn)
            assert turn.status == "running"
            await turn.abort()
        assert read[-1] == "finished"
        mock.assert_received("abort_message", times=1)


async def test_who_is_refused_leaves_the_reader_alone(scripted: Scripted) -> None:
    mock = scripted(script.turn("text", hang=True))
    async with connected(mock) as (client, runtime):
        seen = text_seen(client)
        turn = client.send_turn(runtime=runtime, payload=message())
        stream = aiter(turn)
        read: list[str] = []

        async def reader() -> None:
            read.extend([event.type async for event in stream])

        async with anyio.create_task_group() as group:
            group.start_soon(reader)
            await seen.wait()
            for other in (stream, aiter(turn)):
                with pytest.raises(RuntimeError, match="another task"):
                    await anext(other)
            del other
            gc.collect()
            assert turn.status == "running"
            await turn.abort()
        assert read[-1] == "finished"


async def test_only_the_text(scripted: Scripted) -> None:
    mock = scripted(script.turn(["a", "b", "c"], reasoning=["hm"]))
    async with connected(mock) as (client, runtime):
        turn = client.send_turn(runtime=runtime, payload=message())
        assert [text async for text in turn.stream_text()] == ["a", "b", "c"]
        assert (await turn).text == "abc"


async def test_a_failed_turn_has_a_result(scripted: Scripted) -> None:
    mock = scripted(script.turn("so far", error="the provider is gone"))
    async with connected(mock) as (client, runtime):
        turn = client.send_turn(runtime=runtime, payload=message())
        assert (await kinds(turn))[-1] == "finished"
        assert (await turn).error == "the provider is gone"
        assert turn.status == "failed"
        assert "the provider is gone" in turn.explain()


async def test_iterating_raises_what_awaiting_raises(scripted: Scripted) -> None:
    mock = scripted(script.turn(["a", "b"], disconnect_after=1))
    async with connected(mock, reconnect=False) as (client, runtime):
        turn = client.send_turn(runtime=runtime, payload=message())
        seen: list[TurnEvent] = []
        with pytest.raises(letta.TurnInterrupted) as iterated:
            seen.extend([event async for event in turn])
        with pytest.raises(letta.TurnInterrupted) as awaited:
            await turn
        with pytest.raises(letta.TurnInterrupted):
            await turn.abort()
        assert str(iterated.value) == str(awaited.value)
        assert awaited.value.result is not None
        assert awaited.value.result.text == "a"
        assert turn.status == "disconnected"
        assert turn.explain().startswith("disconnected: the connection ended")
        with pytest.raises(letta.Disconnected):
            client.send_turn(runtime=runtime, payload=message())


async def test_bad_commands_and_options_are_refused_at_once(mock: MockServer) -> None:
    async with connected(mock) as (client, runtime):
        with pytest.raises(letta.InvalidCommand, match="messages"):
            client.send_turn(runtime=runtime, payload={"kind": "create_message"})  # type: ignore[arg-type]
        for options in ({"timeout": 0}, {"tool_timeout": -1}, {"approval_timeout": True}):
            with pytest.raises(letta.InvalidOption, match=next(iter(options))):
                client.send_turn(runtime=runtime, payload=message(), **options)
        for approvals in ("return", "ask", None, 7):
            with pytest.raises(letta.InvalidOption, match="approvals: expected"):
                client.send_turn(runtime=runtime, payload=message(), approvals=approvals)  # type: ignore[arg-type]
            with pytest.raises(letta.InvalidOption, match="approvals: expected"):
                await client.run_turn(runtime=runtime, payload=message(), approvals=approvals)  # type: ignore[arg-type]
        assert client._bridge._pending == {}
    assert [frame.type for frame in mock.received] == ["runtime_start"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_needs_the_loop_of_its_client(mock: MockServer) -> None:
    async with connected(mock) as (client, runtime):

        def elsewhere() -> None:
            with pytest.raises(letta.WrongLoop):
                anyio.run(send)

        async def send() -> None:
            client.send_turn(runtime=runtime, payload=message())

        await anyio.to_thread.run_sync(elsewhere)


async def test_a_running_turn_says_how_it_stands(scripted: Scripted) -> None:
    mock = scripted(script.turn("text", hang=True))
    async with connected(mock) as (client, runtime):
        seen = text_seen(client)
        turn = client.send_turn(runtime=runtime, payload=message())
        assert turn.status in {"sent", "running"}
        assert repr(turn) == "<Turn under way>"
        await seen.wait()
        assert turn.status == "running"
        assert turn.explain() == "running 0 s; last event 0 s ago: text; approval none; queue 0"
        later = client.send_turn(runtime=runtime, payload=message())
        await client.info()
        assert (later.status, later.explain()[:9]) == ("queued", "queued 0 ")
        assert (await turn.abort()).status == "aborted"
        await later.abort()


async def test_a_queued_turn_is_taken_out_of_the_queue(scripted: Scripted) -> None:
    mock = scripted(script.turn("first", hang=True), script.turn("second"))
    async with connected(mock) as (client, runtime):
        seen = text_seen(client)
        first = client.send_turn(runtime=runtime, payload=message("one"))
        await seen.wait()
        second = client.send_turn(runtime=runtime, payload=message("two"))
        async for event in second:
            match event:
                case letta.QueuePosition(position):
                    assert position == 1
                    break
        result = await second
        assert (result.status, result.text) == ("aborted", "")
        mock.assert_received("remove_queue_item", times=1)
        assert first.status == "running"
        assert (await first.abort()).text == "first"
        mock.assert_received("abort_message", times=1)


async def with_a_tool_that_waits(
    client: AppServerClient,
) -> tuple[Fields, anyio.Event, anyio.Event]:
    """A runtime whose tool says that it was called, and waits until it is to go on."""
    called, go_on = anyio.Event(), anyio.Event()

    async def tool(_: object) -> str:
        called.set()
        await go_on.wait()
        return "x"

    client.on_external_tool_call(tool)
    tools = [{"tools": [{"name": "lookup", "description": "", "parameters": {}}]}]
    runtime = await start(client, mode="unrestricted", external_tools=tools)
    return runtime, called, go_on


async def test_a_turn_that_shares_its_run_ends_alone(scripted: Scripted) -> None:
    both = script.turn("done", tool_calls=[script.call("lookup")])
    mock = scripted(script.turn("first", hang=True), both)
    async with connected(mock) as (client, _):
        runtime, called, go_on = await with_a_tool_that_waits(client)
        seen = text_seen(client)
        first = client.send_turn(runtime=runtime, payload=message("one"))
        await seen.wait()
        second = client.send_turn(runtime=runtime, payload=message("two"))
        third = client.send_turn(runtime=runtime, payload=message("three"))
        await client.info()
        assert (second.status, third.status) == ("queued", "queued")
        await first.abort()
        await called.wait()
        given_up = await second.abort()
        go_on.set()
        result = await third
        assert (given_up.status, result.status, result.text) == ("aborted", "completed", "done")
        assert result.merged_with == given_up.client_message_ids
        mock.assert_received("abort_message", times=1)


async def test_a_detached_turn_goes_on(scripted: Scripted) -> None:
    call = script.call("lookup")
    mock = scripted(script.turn("done", tool_calls=[call]))
    async with connected(mock) as (client, _):
        runtime, called, go_on = await with_a_tool_that_waits(client)
        finished = frame_seen(client, "turn_finished")
        turn = client.send_turn(runtime=runtime, payload=message())
        ends: list[object] = []

        async def wait() -> None:
            with pytest.raises(letta.TurnInterrupted, match="detached"):
                await turn
            ends.append("awaited")

        async def read() -> None:
            assert "finished" not in await kinds(turn)
            ends.append("read")

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(read)
            await called.wait()
            turn.detach()
            turn.detach()
        assert sorted(map(str, ends)) == ["awaited", "read"]
        assert turn.status == "detached"
        assert turn.explain().startswith("detached")
        go_on.set()
        await finished.wait()
        assert [frame.type for frame in mock.received].count("abort_message") == 0
        assert client._bridge._pending == {}


async def test_a_detached_turn_keeps_the_tools_of_a_session_that_is_gone(
    scripted: Scripted,
) -> None:
    called, go_on = anyio.Event(), anyio.Event()

    async def lookup() -> str:
        called.set()
        await go_on.wait()
        return "found"

    async def leave(client: letta.AppServerClient) -> None:
        session = await client.session(agent_id="a", tools=[lookup])
        turn = session.send("?")
        await called.wait()
        turn.detach()

    # The first call runs when the turn is detached, the second comes later.
    call = script.call("lookup")
    mock = scripted(script.turn("done", tool_calls=[call, call]))
    with anyio.fail_after(30):
        async with letta.connect(mock.url) as client:
            finished = frame_seen(client, "turn_finished")
            await leave(client)
            gc.collect()
            go_on.set()
            await finished.wait()
            answers = [f for f in mock.received if f.type == "external_tool_call_response"]
            texts = [answer.to_dict()["result"]["content"][0]["text"] for answer in answers]
            assert texts == ["found", "found"]
            # With the turn's end nobody has the session any more.
            await client.request("app_server_info")
            assert client._bridge._pending == {}
            gc.collect()
            assert client._tools._handlers == {}


async def test_a_dropped_handle_stops_nothing(mock: MockServer) -> None:
    async with connected(mock) as (client, runtime):
        finished = frame_seen(client, "turn_finished")
        client.send_turn(runtime=runtime, payload=message())
        gc.collect()
        await finished.wait()
        # The next turn's completion comes after this one's.
        assert (await client.run_turn(runtime=runtime, payload=message())).status == "completed"
        assert client._bridge._pending == {}
        assert "abort_message" not in {frame.type for frame in mock.received}


async def test_events_are_kept_as_long_as_somebody_can_read_them(mock: MockServer) -> None:
    async with connected(mock) as (client, runtime):
        kept = client.send_turn(runtime=runtime, payload=message())
        dropped = client.send_turn(runtime=runtime, payload=message())
        tokens = kept._flight._token, dropped._flight._token
        await kept
        await dropped
        del dropped
        gc.collect()
        events = [client._native.take_turn(token) for token in tokens]
        assert "run_started" in str(events[0])
        assert events[1] == []


async def test_a_reader_of_many_events_leaves_room_for_others(scripted: Scripted) -> None:
    mock = scripted(script.turn(["x"] * 3500))
    async with connected(mock) as (client, runtime):
        turn = client.send_turn(runtime=runtime, payload=message())
        await turn
        read = 0
        others: list[int] = []

        async def watch() -> None:
            while True:
                others.append(read)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            async for _ in turn:
                read += 1
            group.cancel_scope.cancel()
        assert read > 3500
        assert len(set(others)) >= 3


async def test_a_turn_is_there_once(scripted: Scripted) -> None:
    mock = scripted(script.turn(["4", "2"]))
    async with connected(mock) as (client, runtime):
        turn = client.send_turn(runtime=runtime, payload=message())
        for once in (turn, turn.stream_text(), client.messages()):
            for again in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError, match="neither copied nor pickled"):
                    again(once)
        gc.collect()
        assert "assistant_delta" in await kinds(turn)


async def test_what_has_a_connection_says_what_can_be_copied(mock: MockServer) -> None:
    async with connected(mock) as (client, runtime):
        session = await client.session(agent_id=runtime["agent_id"])
        for once in (client, session, client.agents):
            for again in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises(
                    TypeError, match=r"neither copied nor pickled: .*ConnectOptions"
                ):
                    again(once)
    with letta.sync.connect(mock.url) as blocking:
        turn = blocking.session(agent_id="a").send("?")
        for face in (blocking, blocking.session(agent_id="a"), blocking.agents):
            with pytest.raises(TypeError, match=r"neither copied nor pickled: .*ConnectOptions"):
                pickle.dumps(face)
        for other in (turn, turn.stream_text(), blocking.messages()):
            with pytest.raises(TypeError, match=r"^a .* can be neither copied nor pickled$"):
                pickle.dumps(other)
    with pytest.raises(TypeError, match=r"a MockServer can be neither .*: pass on its url"):
        pickle.dumps(mock)


async def test_a_thread_detaches_a_turn_that_is_waited_for(scripted: Scripted) -> None:
    mock = scripted(script.turn(hang=True))
    async with connected(mock) as (client, runtime):
        turn, seen = client.send_turn(runtime=runtime, payload=message()), anyio.Event()
        began = time.monotonic()
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                seen.set()
                with pytest.raises(letta.TurnInterrupted, match="detached"):
                    await turn

            group.start_soon(wait)
            await seen.wait()
            # Nothing else happens on the loop from here to the end.
            threading.Timer(0.2, turn.detach).start()
        assert time.monotonic() - began < 5
        assert client._bridge._pending == {}
