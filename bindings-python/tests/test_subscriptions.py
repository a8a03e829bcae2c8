from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient, Message, protocol, watching
from letta_app_client._subscription import Inbox
from letta_app_client.testing import MockServer
from tests.helpers import RUNTIME

pytestmark = pytest.mark.anyio

OTHER = {"agent_id": "agent-1", "conversation_id": "conv-2"}


@pytest.fixture
async def client(mock: MockServer) -> AsyncIterator[AppServerClient]:
    async with letta.connect(mock.url) as client:
        # With an answer the server knows the client; without it could miss what is pushed.
        await client.info()
        yield client


def finished(turn_id: str, runtime: dict[str, str] = RUNTIME) -> dict[str, Any]:
    return {"type": "turn_finished", "turn_id": turn_id, "runtime": runtime}


def changed(path: str) -> dict[str, Any]:
    return {"type": "file_changed", "path": path, "lastModified": 1.5}


async def test_only_the_types_and_the_runtime_that_are_wanted(
    client: AppServerClient, mock: MockServer
) -> None:
    async with (
        client.messages("turn_finished", runtime=RUNTIME) as mine,
        client.messages("turn_finished", "file_changed") as some,
        client.messages("some_new_type") as new,
        client.messages() as everything,
    ):
        pushed = [finished("1"), changed("/a"), finished("2", OTHER), {"type": "some_new_type"}]
        for frame in [*pushed, {"type": "another"}, finished("3")]:
            mock.push(frame)
        message = await anext(mine)
        assert isinstance(message, protocol.TurnFinishedMessage)
        assert [message.turn_id, (await anext(mine)).turn_id] == ["1", "3"]
        kinds = [(await anext(some)).type for _ in range(4)]
        assert kinds == ["turn_finished", "file_changed", "turn_finished", "turn_finished"]
        assert type(await anext(new)) is Message
        assert [(await anext(everything)).raw for _ in pushed] == pushed
        assert some.dropped == 0


async def test_handlers_by_type_and_runtime(client: AppServerClient, mock: MockServer) -> None:
    seen: list[str] = []
    unparsed: list[Message] = []
    client.on_message(lambda message, _: unparsed.append(message))
    client.on_message(lambda message, _: seen.append(message.turn_id), types="turn_finished")
    off = client.on_message(
        lambda message, _: seen.append(message.type),
        types=("turn_finished", "some_new_type"),
        runtime=OTHER,
    )
    async with client.messages("last") as last:
        for frame in (finished("1"), changed("/a"), finished("2", OTHER), {"type": "last"}):
            mock.push(frame)
        await anext(last)
        off()
        mock.push(finished("3", OTHER))
        mock.push({"type": "last"})
        await anext(last)
    assert seen == ["1", "2", "turn_finished", "3"]
    # Nobody who asks for other types has a frame parsed.
    (change,) = (one for one in unparsed if isinstance(one, protocol.FileChangedMessage))
    with pytest.raises(AttributeError):
        object.__getattribute__(change, "_data")


async def test_a_reader_who_lags_sees_what_was_dropped(
    client: AppServerClient, mock: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with client.messages("file_changed", limit=3) as few, client.messages("last") as last:
        for number in range(5):
            mock.push(changed(f"/{number}"))
        mock.push({"type": "last"})
        await anext(last)
        assert few.dropped == 2
        assert [(await anext(few)).path for _ in range(3)] == ["/2", "/3", "/4"]
    assert "a reader of messages is too slow" in caplog.text


async def test_changes_of_a_file_that_nobody_reads_in_time_are_counted(
    client: AppServerClient, mock: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MAX_ITEMS", 2)
    async with (
        client.files.changes("/a") as changes,
        client.messages("file_changed") as every,
    ):
        for _ in range(5):
            mock.push(changed("/a"))
        for _ in range(5):
            await anext(every)
        assert (await anext(changes)).path == "/a"
        assert changes.dropped == 3


async def test_cancelling_who_waits_loses_nothing(
    client: AppServerClient, mock: MockServer
) -> None:
    async with client.messages("file_changed") as changes:
        with anyio.move_on_after(0):
            await anext(changes)
        mock.push(changed("/a"))
        assert (await anext(changes)).path == "/a"


async def test_one_task_reads(client: AppServerClient) -> None:
    async with client.messages("file_changed") as changes, anyio.create_task_group() as group:

        async def read() -> None:
            await anext(changes)

        group.start_soon(read)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        with pytest.raises(RuntimeError, match="another task"):
            await anext(changes)
        group.cancel_scope.cancel()


async def test_the_end_of_the_connection(mock: MockServer) -> None:
    client = await letta.connect(mock.url, reconnect=False)
    # With an answer the server knows the client; without it could miss what is pushed.
    await client.info()
    lost = client.messages("turn_finished", "last")
    async with client.messages("last") as arrived:
        mock.push(finished("1"))
        mock.push({"type": "last"})
        await anext(arrived)
    mock.cut_connections()
    assert (await anext(lost)).type == "turn_finished"
    assert (await anext(lost)).type == "last"
    with pytest.raises(letta.Disconnected) as caught:
        await anext(lost)
    assert caught.value.close_code == 1006
    await client.connect()
    again = client.messages()
    await client.close()
    assert [message async for message in again] == []
    with pytest.raises(letta.ClientClosed):
        await anext(client.messages())


async def test_closing_ends_who_reads_behind_the_frames(
    client: AppServerClient, mock: MockServer
) -> None:
    async with client.messages("file_changed") as changes, client.messages("last") as last:
        mock.push(changed("/a"))
        mock.push({"type": "last"})
        await anext(last)
        client.close_nowait()
        assert [change.path async for change in changes] == ["/a"]


async def test_a_frame_that_cannot_be_looked_at_disturbs_nobody(
    client: AppServerClient, mock: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Message) -> bool:
        raise ValueError("broken")

    inbox = Inbox(client._link, broken, 10)
    async with client.messages("last") as last:
        mock.push({"type": "last"})
        assert (await anext(last)).type == "last"
    inbox.leave()
    assert "could not be delivered" in caplog.text


async def test_a_dropped_subscription_keeps_nothing(client: AppServerClient) -> None:
    subscription = client.messages()
    assert client._link.has_listeners
    del subscription
    gc.collect()
    assert not client._link.has_listeners


async def test_bad_filters(client: AppServerClient) -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"types": ()}, "types"),
        ({"types": 7}, "types"),
        ({"types": (7,)}, "types"),
        ({"runtime": {"agent_id": "a"}}, "runtime.conversation_id"),
        ({"runtime": "a"}, "runtime"),
    ]
    for options, name in bad:
        with pytest.raises(letta.InvalidOption, match=name):
            client.on_message(lambda *_: None, **options)
    with pytest.raises(letta.InvalidOption, match="limit"):
        client.messages(limit=0)


async def test_changes_of_a_file(client: AppServerClient, mock: MockServer) -> None:
    async with client.files.changes("/a") as changes:
        assert await anyio.to_thread.run_sync(mock.wait_received, "watch_file")
        mock.push(changed("/b"))
        mock.push(changed("/a"))
        change = await anext(changes)
        assert isinstance(change, protocol.FileChangedMessage)
        assert (change.path, change.lastModified) == ("/a", 1.5)
    assert await anyio.to_thread.run_sync(mock.wait_received, "unwatch_file")
    paths = [json.loads(text)["path"] for text in mock.unexpected]
    assert paths == ["/a", "/a"]
    with pytest.raises(StopAsyncIteration):
        await anext(changes)


async def test_changes_that_are_dropped_are_not_watched(
    client: AppServerClient, mock: MockServer
) -> None:
    changes = client.files.changes("/a")
    del changes
    gc.collect()
    assert await anyio.to_thread.run_sync(mock.wait_received, "unwatch_file")
    bad: Any = 7
    with pytest.raises(letta.InvalidCommand, match="path"):
        client.files.changes(bad)
