from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import Message
from letta_app_client.testing import MockServer, script
from tests.helpers import message, start

pytestmark = pytest.mark.anyio
Scripted = Callable[..., MockServer]


async def test_a_turn_from_start_to_end(scripted: Scripted) -> None:
    mock = scripted(script.turn(["4", "2"], tool_calls=[("Read", {"path": "a.py"})], usage=(7, 3)))
    async with letta.connect(mock.url) as client:
        runtime = await start(client)
        result = await client.run_turn(runtime=runtime, payload=message())
    assert (result.status, result.stop_reason, result.text) == ("completed", "end_turn", "42")
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (14, 6)
    assert [(call.name, call.input, call.status) for call in result.tool_calls] == [
        ("Read", {"path": "a.py"}, "success")
    ]
    assert result.runtime == runtime
    assert len(result.run_ids) == 2
    assert result.terminal_message is not None
    assert result.terminal_message.type == "turn_finished"
    assert 0 <= result.duration < 10
    mock.assert_received("input", times=1)


async def test_turns_one_after_the_other_and_at_once(mock: MockServer) -> None:
    async with letta.connect(mock.url, settle_pause=0) as client:
        runtime = await start(client)
        for _ in range(3):
            assert (await client.run_turn(runtime=runtime, payload=message())).status == "completed"
        others = [await start(client) for _ in range(5)]
        texts: list[str] = []

        async def run(one: Any) -> None:
            texts.append((await client.run_turn(runtime=one, payload=message())).text)

        async with anyio.create_task_group() as group:
            for other in others:
                group.start_soon(run, other)
        assert texts == ["Hello world"] * 5


async def test_a_split_server(scripted: Scripted) -> None:
    mock = scripted(script.turn("old"), generation="split")
    async with letta.connect(mock.url) as client:
        runtime = await start(client)
        assert (await client.run_turn(runtime=runtime, payload=message())).text == "old"


async def test_a_turn_that_fails(scripted: Scripted) -> None:
    mock = scripted(script.turn("so far", error="the provider is gone"))
    async with letta.connect(mock.url) as client:
        runtime = await start(client)
        result = await client.run_turn(runtime=runtime, payload=message())
    assert (result.status, result.error) == ("failed", "the provider is gone")


async def test_an_abort_ends_the_turn(scripted: Scripted) -> None:
    mock = scripted(script.turn("partial", hang=True))
    async with letta.connect(mock.url) as client:
        runtime = await start(client)
        streaming = anyio.Event()
        client.on_message(lambda frame, _: streaming.set() if is_text(frame) else None)
        outcomes: list[letta.TurnResult] = []

        async def run() -> None:
            outcomes.append(await client.run_turn(runtime=runtime, payload=message()))

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await streaming.wait()
            assert (await client.abort(runtime=runtime)).aborted is True
    (result,) = outcomes
    assert (result.status, result.text, result.stop_reason) == ("aborted", "partial", "cancelled")


def is_text(frame: Message) -> bool:
    return frame.type == "stream_delta" and frame.delta.message_type == "assistant_message"


async def test_cancelling_stops_the_turn_on_the_server(scripted: Scripted) -> None:
    mock = scripted(script.turn("partial", hang=True), script.turn("next"))
    async with letta.connect(mock.url, settle_pause=0) as client:
        runtime = await start(client)
        streaming, over = anyio.Event(), anyio.Event()
        own: list[str] = []
        client.on_send(lambda command: own.append(command["type"]))

        def watch(frame: Message, _: str) -> None:
            if is_text(frame):
                streaming.set()
            if frame.type == "turn_finished":
                over.set()

        client.on_message(watch)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: client.run_turn(runtime=runtime, payload=message()))
            await streaming.wait()
            group.cancel_scope.cancel()
        await over.wait()
        mock.assert_received("abort_message", times=1)
        assert own == ["input", "abort_message"]
        assert (await client.run_turn(runtime=runtime, payload=message())).text == "next"


async def test_limits_stop_the_turn(scripted: Scripted) -> None:
    mock = scripted(script.turn("partial", hang=True))
    async with letta.connect(mock.url, settle_pause=0) as client:
        runtime = await start(client)
        limits: list[tuple[dict[str, float], type[letta.TurnError]]] = [
            ({"timeout": 0.05}, letta.TurnTimeout),
            ({"idle_timeout": 0.05}, letta.TurnIdleTimeout),
        ]
        for limit, error in limits:
            with pytest.raises(error) as caught:
                await client.run_turn(runtime=runtime, payload=message(), **limit)  # type: ignore[arg-type]
            assert isinstance(caught.value, TimeoutError)
            assert caught.value.result is not None
        mock.assert_received("abort_message", times=2)


async def test_a_lost_connection_interrupts_and_can_be_made_again(scripted: Scripted) -> None:
    mock = scripted(script.turn("partial", hang=True), script.turn("after"))
    client = letta.create_app_server_client(url=mock.url, reconnect=False)
    await client.connect()
    runtime = await start(client)
    ends: list[letta.Disconnect] = []
    ended = anyio.Event()
    client.on_disconnect(ends.append)
    client.on_disconnect(lambda _: ended.set())
    client.on_message(lambda frame, _: mock.cut_connections() if is_text(frame) else None)
    with pytest.raises(letta.TurnInterrupted) as caught:
        await client.run_turn(runtime=runtime, payload=message())
    assert caught.value.result is not None
    assert caught.value.result.text == "partial"
    assert (caught.value.retryable, caught.value.will_reconnect) == (False, False)
    await ended.wait()
    assert [(end.channel, end.code) for end in ends] == [("control", 1006)]
    assert [client.state] == ["disconnected"]
    with pytest.raises(letta.Disconnected, match="connect again"):
        client.input(runtime=runtime, payload=message())
    await client.connect()
    assert client.state == "open"
    await start(client)
    await client.close()


async def test_an_approval_pauses_by_default(scripted: Scripted) -> None:
    mock = scripted(script.turn("done", tool_calls=[script.call("Bash", needs_approval=True)]))
    async with letta.connect(mock.url) as client:
        runtime = await start(client)
        result = await client.run_turn(runtime=runtime, payload=message())
        assert (result.status, result.stop_reason) == ("requires_approval", "requires_approval")


async def test_an_approval_is_answered_by_a_handler(scripted: Scripted) -> None:
    call = script.call("Bash", {"command": "ls"}, needs_approval=True, result="a.py")
    mock = scripted(script.turn("done", tool_calls=[call]))
    async with letta.connect(mock.url) as client:
        runtime = await start(client)

        def allow(frame: Message, _: str) -> None:
            if frame.type == "control_request":
                assert frame.request.input.command == "ls"
                client.input(
                    runtime=runtime,
                    payload={
                        "kind": "approval_response",
                        "request_id": frame.request_id,
                        "decision": {"behavior": "allow"},
                    },
                )

        client.on_message(allow)
        result = await client.run_turn(runtime=runtime, payload=message(), approvals="wait")
        assert (result.text, result.tool_calls[0].output) == ("done", "a.py")


async def test_closing_ends_what_waits(scripted: Scripted) -> None:
    mock = scripted(script.turn("partial", hang=True))
    client = await letta.connect(mock.url)
    runtime = await start(client)
    client.on_message(lambda frame, _: client.close_nowait() if is_text(frame) else None)
    with pytest.raises((letta.ClientClosed, letta.TurnInterrupted)):
        await client.run_turn(runtime=runtime, payload=message())
    await client.close()
    assert client.state == "closed"
