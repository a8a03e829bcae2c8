"""Many prompts at once, whose connection is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client._own import Own
from letta_app_client.testing import MockServer, script

pytestmark = pytest.mark.anyio


def starts_of(mock: MockServer) -> int:
    return sum(frame.type == "runtime_start" for frame in mock.received)


def inputs_of(mock: MockServer) -> int:
    return sum(frame.type == "input" for frame in mock.received)


async def test_none_begins_while_a_lost_connection_is_opened_again(mock: MockServer) -> None:
    # It would not be tried again by itself for ten hours.
    rules = letta.Reconnect(base=36_000, cap=36_000)
    async with (
        letta.connect(mock.url, reconnect=rules) as client,
        anyio.create_task_group() as group,
    ):

        def changed(state: str, _error: object) -> None:
            if state == "reconnecting":
                group.start_soon(client.connect)

        client.on_state(changed)

        def cut(done: int, _total: int) -> None:
            if done == 1:
                mock.cut_connections()

        with anyio.fail_after(10):
            batch = await letta.map(client, ["?"] * 30, agents=["a"], limit=2, progress=cut)
    # Those that were under way.
    assert len([item for item in batch if item.error is not None]) <= 2


async def test_where_the_server_is_gone_it_ends_when_a_turn_would(mock: MockServer) -> None:
    def close(done: int, _total: int) -> None:
        if done == 1:
            mock.close()

    async with letta.connect(mock.url) as client:
        with anyio.fail_after(10):
            batch = await letta.map(
                client, ["?"] * 30, agents=["a"], limit=2, progress=close, recover_timeout=0.2
            )
    kinds = [type(item.error) for item in batch if item.error is not None]
    assert len(kinds) >= 27
    assert set(kinds[2:]) == {letta.Disconnected}


async def lose_connection(mock: MockServer, client: letta.AppServerClient) -> None:
    """Ends the connection, and waits until the client knows."""
    lost = anyio.Event()

    def look(state: str, _error: object) -> None:
        if state == "reconnecting":
            lost.set()

    remove = client.on_state(look)
    mock.cut_connections()
    await lost.wait()
    remove()


def cut_once(monkeypatch: pytest.MonkeyPatch, mock: MockServer, name: str) -> None:
    """The connection is lost just before the first call of a method."""
    owner: Any = letta.Session if hasattr(letta.Session, name) else letta.AppServerClient
    plain = getattr(owner, name)
    calls: list[object] = []

    async def cut(self: Any, *args: Any, **given: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            client = self.client if isinstance(self, letta.Session) else self
            await lose_connection(mock, client)
        return await plain(self, *args, **given)

    monkeypatch.setattr(owner, name, cut)


@pytest.mark.parametrize("name", ["run", "runtime_start", "sync"])
async def test_what_was_not_sent_for_want_of_a_connection_is_sent_on_the_next(
    mock: MockServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    cut_once(monkeypatch, mock, name)
    with anyio.fail_after(10):
        async with letta.connect(mock.url) as client:
            batch = await letta.map(client, ["a"], agents="agent-1", cwd="/", limit=1)
    assert [item.text for item in batch] == ["Hello world"]
    assert starts_of(mock) == 1 + (name != "runtime_start")
    assert inputs_of(mock) == 1
    # The others are the conversation that is started again on the next connection.
    started = [frame for frame in mock.received if frame.type == "runtime_start"]
    assert len([frame for frame in started if "conversation_id" not in frame.raw]) == 1


async def test_a_second_turn_that_was_not_sent_does_not_ask_the_first_again(
    scripted: Callable[..., MockServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    mock = scripted(script.turn("no result"))
    plain = letta.Session._asked
    turns: list[object] = []

    async def cut(self: letta.Session, *args: Any, **given: Any) -> Any:
        turns.append(args)
        if len(turns) == 2:
            await lose_connection(mock, self.client)
        return await plain(self, *args, **given)

    monkeypatch.setattr(letta.Session, "_asked", cut)
    with anyio.fail_after(10):
        async with letta.connect(mock.url) as client:
            batch = await letta.map(client, ["a"], agents="agent-1", output_type=dict[str, int])
    error = batch[0].error
    assert isinstance(error, letta.Disconnected)
    assert not error.retryable
    assert len(turns) == 2
    assert inputs_of(mock) == 1


async def test_a_conversation_whose_start_was_lost_is_started_again(
    mock: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Own.start
    starts: list[object] = []

    async def start(client: letta.AppServerClient, fields: Mapping[str, Any]) -> Any:
        started = await plain(client, fields)
        starts.append(started)
        if len(starts) == 1:
            # Nobody knows of the answer.
            await lose_connection(mock, client)
            error = letta.Disconnected("the connection was lost")
            error.will_reconnect = True
            raise error
        return started

    monkeypatch.setattr(Own, "start", staticmethod(start))
    with anyio.fail_after(10):
        async with letta.connect(mock.url) as client:
            batch = await letta.map(client, ["a"], agents="agent-1", check=True)
    assert (len(batch.results), len(starts)) == (1, 2)
    assert inputs_of(mock) == 1


async def test_where_no_connection_comes_in_time_the_item_has_the_error(mock: MockServer) -> None:
    rules = letta.Reconnect(base=36_000, cap=36_000)
    async with letta.connect(mock.url, reconnect=rules) as client:
        await lose_connection(mock, client)
        with anyio.fail_after(10):
            batch = await letta.map(client, ["a", "b"], agents="agent-1", recover_timeout=0.1)
    assert [type(error) for error in batch.errors] == [letta.Disconnected] * 2
    assert starts_of(mock) == 0
