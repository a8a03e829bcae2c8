from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient, Message, sync
from letta_app_client.testing import MockServer, script
from tests.helpers import message, start

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(mock: MockServer) -> AsyncIterator[AppServerClient]:
    async with letta.connect(mock.url) as client:
        # With an answer the server knows the client; without it could miss what is pushed.
        await client.info()
        yield client


class WeirdError(BaseException):
    pass


async def test_messages_come_in_order_and_before_completions(client: AppServerClient) -> None:
    home = threading.get_ident()
    seen: list[str] = []

    def watch(frame: Message, channel: str) -> None:
        assert threading.get_ident() == home
        assert channel == "control"
        seen.append(frame.type)

    off = client.on_message(watch)
    runtime = await start(client)
    assert "runtime_start_response" in seen
    await client.run_turn(runtime=runtime, payload=message())
    assert "turn_finished" in seen
    count = len(seen)
    off()
    off()
    await client.sync(runtime=runtime)
    assert len(seen) == count


async def all_begin(backend: str) -> None:
    """Lets tasks that were started run up to where they wait, and on asyncio nothing else."""
    # Trio takes those that are ready in any order.
    for _ in range(2 if backend == "trio" else 1):
        await anyio.lowlevel.checkpoint()


async def test_requests_made_together_keep_their_order(
    client: AppServerClient, mock: MockServer, anyio_backend_name: str
) -> None:
    runtime = await start(client)

    async def ask() -> None:
        await client.sync(runtime=runtime)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
        await all_begin(anyio_backend_name)
        # It takes along what is held.
        client.send_raw({"type": "some_future_command"})
        tasks.start_soon(ask)
    types = [frame.type for frame in mock.received]
    assert types[-5:] == ["sync", "sync", "sync", "some_future_command", "sync"]


async def test_requests_made_just_before_the_end_end_too(
    mock: MockServer, anyio_backend_name: str
) -> None:
    client = await letta.connect(mock.url)
    runtime = await start(client)
    outcomes: list[bool] = []

    async def ask() -> None:
        try:
            outcomes.append((await client.sync(runtime=runtime)).success)
        except letta.ClientClosed:
            outcomes.append(False)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
            await all_begin(anyio_backend_name)
            await client.close()
    assert len(outcomes) == 3
    assert [frame.type for frame in mock.received].count("sync") == 3


async def test_sends_are_seen_whole(client: AppServerClient) -> None:
    sent: list[dict[str, Any]] = []
    off = client.on_send(sent.append)
    runtime = await start(client)
    await client.run_turn(runtime=runtime, payload=message())
    assert [command["type"] for command in sent] == ["runtime_start", "input"]
    assert sent[0]["request_id"]
    assert sent[1]["payload"]["messages"][0]["client_message_id"]
    off()
    await client.sync(runtime=runtime)
    assert len(sent) == 2


async def test_a_handler_that_raises_disturbs_nobody(
    client: AppServerClient, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def bad(*_: object) -> None:
        raise LookupError("my own fault")

    client.on_message(bad)
    client.on_send(bad)
    client.on_message(lambda frame, _: seen.append(frame.type))
    with caplog.at_level(logging.ERROR, logger="letta_app_client"):
        runtime = await start(client)
        assert (await client.run_turn(runtime=runtime, payload=message())).status == "completed"
    assert "turn_finished" in seen
    assert client.stats.handler_errors == len(seen) + 2
    assert "my own fault" in caplog.text


@pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, WeirdError])
async def test_a_handler_that_raises_what_is_no_exception_disturbs_nobody(
    client: AppServerClient, mock: MockServer, kind: type[BaseException]
) -> None:
    seen: list[str] = []

    def bad(*_: object) -> None:
        raise kind

    client.on_message(bad)
    client.on_send(bad)
    client.on_message(lambda frame, _: seen.append(frame.type))
    runtime = await start(client)
    assert (await client.run_turn(runtime=runtime, payload=message())).status == "completed"
    assert (await client.send_turn(runtime=runtime, payload=message())).status == "completed"
    assert seen.count("turn_finished") == 2
    assert client.stats.handler_errors == len(seen) + 3
    assert "abort_message" not in {frame.type for frame in mock.received}


@pytest.mark.parametrize("method", ["run_turn", "send_turn"])
async def test_a_turn_whose_sending_is_interrupted_is_stopped(
    scripted: Callable[..., MockServer], method: str
) -> None:
    mock = scripted(script.turn("so far", hang=True))
    async with letta.connect(mock.url, settle_pause=0) as client:
        runtime = await start(client)

        def interrupt(frame: dict[str, Any]) -> None:
            if frame["type"] == "input":
                raise KeyboardInterrupt

        off = client.on_send(interrupt)
        with pytest.raises(KeyboardInterrupt):
            await getattr(client, method)(runtime=runtime, payload=message())
        off()
        assert await anyio.to_thread.run_sync(mock.wait_received, "abort_message")
        assert client._bridge._pending == {}
        assert client._approvals._handlers == {}


async def test_handlers_may_register_and_leave_while_called(
    client: AppServerClient, mock: MockServer
) -> None:
    seen: list[str] = []
    done = anyio.Event()

    def once(frame: Message, _: str) -> None:
        seen.append(f"once {frame.type}")
        off()
        client.on_message(lambda frame, _: seen.append(frame.type))
        client.on_message(lambda *_: done.set())

    off = client.on_message(once)
    mock.push({"type": "a"})
    mock.push({"type": "b"})
    await done.wait()
    assert seen == ["once a", "b"]


async def test_context_variables_are_those_of_the_registration(
    client: AppServerClient, mock: MockServer
) -> None:
    variable = contextvars.ContextVar("variable", default="none")
    seen: list[str] = []
    done = anyio.Event()
    variable.set("registered")
    client.on_message(lambda *_: seen.append(variable.get()))
    client.on_message(lambda *_: done.set())
    variable.set("later")
    mock.push({"type": "a"})
    await done.wait()
    assert seen == ["registered"]


async def test_only_functions_can_be_registered(client: AppServerClient) -> None:
    registers: list[Any] = [client.on_message, client.on_send, client.on_external_tool_call]
    for register in registers:
        with pytest.raises(TypeError, match="expected a function, got str"):
            register("handler")


async def test_functions_that_nobody_would_await_are_refused(client: AppServerClient) -> None:
    async def handler(*_: object) -> None: ...

    registers: list[Any] = [
        client.on_message,
        functools.partial(client.on_message, types="a"),
        client.on_send,
        client.on_state,
        client.on_disconnect,
        client.on_lagged,
        lambda given: letta.spawn_server(["x"], on_log=given),
    ]
    for register in registers:
        with pytest.raises(TypeError, match="expected a plain function"):
            register(handler)
    with pytest.raises(letta.InvalidOption, match=r"^progress: expected .* a plain function"):
        await letta.gather(progress=handler)


def test_nor_without_an_event_loop(mock: MockServer) -> None:
    async def handler(*_: object) -> None: ...

    with sync.connect(mock.url) as client:
        for register in (client.on_message, client.on_state):
            with pytest.raises(TypeError, match="expected a plain function"):
                register(handler)


async def test_a_handler_registered_after_an_answer_sees_what_came_after_it(
    client: AppServerClient, mock: MockServer
) -> None:
    """Also when everything came in one burst."""
    seen: list[str] = []
    done = anyio.Event()

    def watch(frame: Message, _: str) -> None:
        seen.append(frame.type)
        if frame.type == "c":
            done.set()

    async def ask() -> None:
        command = {"type": "future", "request_id": "r"}
        await client.request_raw(command, predicate=lambda frame: frame.type == "answer")
        client.on_message(watch)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.to_thread.run_sync(mock.wait_received, "future")
        before = client.stats.frames
        for kind in ("a", "answer", "b", "c"):
            mock.push({"type": kind, "request_id": "r"})
        # Everything waits in the mailbox before the loop looks at it.
        while client.stats.frames < before + 4:
            threading.Event().wait(0.001)
        with anyio.fail_after(10):
            await done.wait()
    assert seen == ["b", "c"]


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
async def test_trio_outlives_a_handler_that_exits(
    client: AppServerClient, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    def bad(*_: object) -> None:
        off()
        raise kind

    off = client.on_message(bad)
    client.on_message(lambda frame, _: seen.append(frame.type))
    runtime = await start(client)
    assert (await client.run_turn(runtime=runtime, payload=message())).status == "completed"
    assert "turn_finished" in seen
    assert client.stats.handler_errors == 1
    assert kind.__name__ in caplog.text


async def test_a_predicate_that_exits_does_so_in_its_caller(
    client: AppServerClient, mock: MockServer
) -> None:
    def judge(_: Message) -> bool:
        raise SystemExit(3)

    async def push() -> None:
        await anyio.to_thread.run_sync(mock.wait_received, "future")
        mock.push({"type": "a", "request_id": "r"})

    async with anyio.create_task_group() as group:
        group.start_soon(push)
        with pytest.raises(SystemExit):
            await client.request_raw({"type": "future", "request_id": "r"}, predicate=judge)


async def test_a_handler_that_cannot_be_called_is_refused(client: AppServerClient) -> None:
    one: Any = lambda _: None  # noqa: E731
    two: Any = lambda _, __: None  # noqa: E731
    named: Any = lambda *, frame: None  # noqa: ARG005, E731
    wrong: list[tuple[Callable[..., Any], list[Any], str]] = [
        (client.on_message, [one, named], "on_message: .* the frame and its channel: "),
        (client.on_state, [one, named], "on_state: .* the state and the error: "),
        (client.on_send, [two, named], "on_send: .* the command: "),
        (client.on_disconnect, [two, named], "on_disconnect: .* how it ended: "),
        (client.on_lagged, [two, named], "on_lagged: .* the number of frames: "),
    ]
    for register, handlers, words in wrong:
        for handler in handlers:
            with pytest.raises(TypeError, match=words):
                register(handler)
    with pytest.raises(TypeError, match="on_message: "):
        client.on_message(one, types="turn_finished")
    # What has no signature may be anything; what takes more than it needs is fine.
    fine: list[Any] = [dict, print, lambda *_: None, functools.partial(two)]
    for handler in fine:
        client.on_message(handler)()
    assert client.stats.handler_errors == 0


def test_a_handler_that_cannot_be_called_is_refused_without_a_loop(mock: MockServer) -> None:
    one: Any = lambda _: None  # noqa: E731
    with sync.connect(mock.url) as client, pytest.raises(TypeError, match="the frame and its"):
        client.on_message(one)
