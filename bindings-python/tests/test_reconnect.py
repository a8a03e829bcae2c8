"""A lost connection is opened again, and programs go on."""

from __future__ import annotations

import contextlib
import gc
import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient, Reconnect
from letta_app_client import sync as blocking
from letta_app_client.testing import MockServer, script

from .helpers import message, start

pytestmark = pytest.mark.anyio
Scripted = Callable[..., MockServer]

FAST = Reconnect(base=0.001, cap=0.005)
# Waits that never end by themselves.
SLOW = Reconnect(base=36_000, cap=36_000)


class States:
    """The changes of a client's state, in order."""

    def __init__(self, client: AppServerClient) -> None:
        self.seen: list[str] = []
        self.errors: list[letta.LettaAppError | None] = []
        self._changed = anyio.Event()
        client.on_state(self._add)

    def _add(self, state: str, error: letta.LettaAppError | None) -> None:
        self.seen.append(state)
        self.errors.append(error)
        self._changed.set()

    async def until(self, state: str, times: int = 1) -> None:
        with anyio.fail_after(10):
            while self.seen.count(state) < times:
                self._changed = anyio.Event()
                await self._changed.wait()


async def test_a_session_with_tools_goes_on(scripted: Scripted) -> None:
    mock = scripted(script.turn("done", tool_calls=[script.call("count", needs_approval=True)]))
    calls = 0

    @letta.tool
    def count() -> str:
        """Counts."""
        nonlocal calls
        calls += 1
        return str(calls)

    asked: list[str] = []

    def ask(request: letta.ApprovalRequest) -> Any:
        asked.append(request.tool_name)
        return letta.allow()

    async with letta.connect(mock.url, reconnect=FAST, settle_pause=0.001) as client:
        states = States(client)
        session = await client.session(agent_id="a", tools=[count], approvals=ask)
        for cut in range(1, 11):
            mock.cut_connections()
            await states.until("open", cut)
            with anyio.fail_after(10):
                result = await session.run("?")
            assert (result.text, result.tool_calls[0].output) == ("done", str(cut))
            assert len(asked) == cut
        assert client.stats.reconnects == 10
        assert (client.stats.restored, client.stats.restore_failures) == (10, 0)
    assert states.seen == ["reconnecting", "open"] * 10 + ["closed"]


async def test_connect_waits_through_further_attempts(scripted: Scripted) -> None:
    mock = scripted(script.turn("done"))
    async with letta.connect(mock.url, reconnect=FAST, connect_timeout=0.3) as client:
        states = States(client)
        mock.close()
        await states.until("reconnecting")
        begun = time.monotonic()
        with anyio.fail_after(10), pytest.raises(letta.ConnectionFailed, match="refused"):
            await client.connect()
        assert time.monotonic() - begun > 0.25, "it is not the first attempt that counts"
        assert client.state == "reconnecting"


async def test_inputs_that_nobody_waits_for_are_sent_at_the_end(scripted: Scripted) -> None:
    mock = scripted(script.turn("done"))
    async with letta.connect(mock.url, settle_pause=30) as client:
        session = await client.session(agent_id="a")
        await session.run("one")
        session.send("two").detach()
    assert client.stats.unsent == 0
    assert len([frame for frame in mock.received if frame.type == "input"]) == 2


async def test_a_session_that_was_closed_or_is_gone_is_not_started_again(
    scripted: Scripted,
) -> None:
    mock = scripted(script.turn("done"))

    def starts() -> list[Any]:
        received = mock.received
        return [one["conversation_id"] for one in received if one["type"] == "runtime_start"]

    async with letta.connect(mock.url, reconnect=FAST, settle_pause=0.001) as client:
        states = States(client)
        names = ["closed", "gone", "kept", "shared", "shared"]
        opened = [await client.session(agent_id="a", conversation_id=name) for name in names]
        closed, gone, kept, shared, other = opened
        del opened
        await closed.close()
        await closed.close()
        await other.close()
        del gone
        gc.collect()
        before = len(starts())
        mock.cut_connections()
        await states.until("open")
        with anyio.fail_after(10):
            await kept.run("?")
            await shared.run("?")
        assert starts()[before:] == ["kept", "shared"]


async def test_errors_and_handlers_say_that_it_goes_on(scripted: Scripted) -> None:
    mock = scripted(script.turn("partial", hang=True))
    client = letta.create_app_server_client(url=mock.url, reconnect=SLOW)
    states = States(client)
    await client.connect()
    assert states.seen == ["connecting", "open"]
    runtime = await start(client)
    lost: list[letta.Disconnect] = []
    client.on_disconnect(lost.append)
    client.on_message(
        lambda frame, _: mock.cut_connections() if frame.type == "stream_delta" else None
    )
    with pytest.raises(letta.TurnInterrupted) as interrupted:
        await client.run_turn(runtime=runtime, payload=message(), recover_timeout=0.2)
    assert interrupted.value.will_reconnect
    await states.until("reconnecting")
    assert [how.will_reconnect for how in lost] == [True]
    assert isinstance(states.errors[-1], letta.Disconnected)
    assert states.errors[-1].will_reconnect
    assert [client.state] == ["reconnecting"]
    with pytest.raises(letta.Disconnected) as refused:
        client.input(runtime=runtime, payload=message())
    assert refused.value.will_reconnect
    assert refused.value.retryable, "nothing was sent"
    # A connect does not wait for the timer.
    with anyio.fail_after(10):
        await client.connect()
    assert [client.state] == ["open"]
    await client.info()
    await client.close()
    assert states.seen == ["connecting", "open", "reconnecting", "open", "closed"]


async def test_iterators_go_on_and_end_when_it_is_given_up(scripted: Scripted) -> None:
    mock = scripted()
    rules = Reconnect(max_attempts=2, base=0.001, cap=0.005)
    async with letta.connect(mock.url, reconnect=rules) as client:
        states = States(client)
        await client.info()
        messages = client.messages("future_event")
        changes = client.files.changes("/a")
        with anyio.fail_after(10):
            await anyio.to_thread.run_sync(mock.wait_received, "watch_file")
            mock.cut_connections()
            await states.until("open")
            await client.info()
            mock.push({"type": "future_event"})
            mock.push({"type": "file_changed", "path": "/a", "lastModified": 1})
            assert (await anext(messages)).type == "future_event"
            assert (await anext(changes)).path == "/a"
            mock.close()
            await states.until("disconnected")
            with pytest.raises(letta.Disconnected, match="will not be reopened") as ended:
                await anext(messages)
            # Nor does one wait that begins now, which it would for ever.
            with pytest.raises(letta.Disconnected, match="will not be reopened"):
                await anext(client.messages())
            assert isinstance(states.errors[-1], letta.ConnectionFailed)
            with pytest.raises(letta.Disconnected, match="refused"):
                await client.info()
            late = client.messages()
            with pytest.raises(letta.ConnectionFailed):
                await client.connect()
            with pytest.raises(letta.Disconnected, match="will not be reopened"):
                await anext(late)
        assert not ended.value.will_reconnect
        assert ended.value.hint is not None
        assert ended.value.hint not in ended.value.args[0]
        with pytest.raises(letta.Disconnected, match="not connected") as refused:
            await client.info()
        assert not refused.value.will_reconnect


async def test_an_iterator_waits_for_the_connection_that_its_program_opens(
    scripted: Scripted,
) -> None:
    mock = scripted()
    async with letta.connect(mock.url, reconnect=False) as client:
        states = States(client)
        with anyio.fail_after(10):
            mock.cut_connections()
            await states.until("disconnected")
            with pytest.raises(letta.Disconnected, match=r"^the connection was lost: "):
                await anext(client.messages())
            messages = client.messages("future_event")
            await client.connect()
            mock.push({"type": "future_event"})
            assert (await anext(messages)).type == "future_event"


def pipe(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def gate(listener: socket.socket, url: str, opened: threading.Event) -> None:
    """Hangs up on everybody until it is opened; then the next one gets through to a server."""
    client, _ = listener.accept()
    while not opened.is_set():
        client.close()
        client, _ = listener.accept()
    with client, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as server:
        back = threading.Thread(target=pipe, args=(server, client))
        back.start()
        pipe(client, server)
        back.join()


async def test_iterators_end_when_the_first_attempt_fails_or_go_on_with_the_one_that_succeeds(
    mock: MockServer,
) -> None:
    told = "^the client is not connected: no attempt has succeeded"
    opened = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    going = threading.Thread(target=gate, args=(listener, mock.url, opened), daemon=True)
    going.start()
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
    client = letta.create_app_server_client(url=url, transport="single")
    waiting, reading = client.messages(), client.messages("future_event")
    ended: list[BaseException] = []

    async def read() -> None:
        with pytest.raises(letta.Disconnected, match=told) as caught:
            await anext(waiting)
        ended.append(caught.value)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            assert not ended
            with pytest.raises(letta.ConnectionFailed):
                await client.connect()
        with pytest.raises(letta.Disconnected, match=told):
            await anext(client.messages())
        with pytest.raises(letta.ConnectionFailed):
            await client.connect()
        opened.set()
        async with client:
            mock.push({"type": "future_event"})
            assert (await anext(reading)).type == "future_event"
    going.join(10)
    listener.close()


async def test_a_terminal_ends_with_its_connection(scripted: Scripted) -> None:
    mock = scripted()
    async with (
        letta.connect(mock.url, reconnect=FAST) as client,
        anyio.create_task_group() as group,
    ):
        opened: list[Any] = []

        async def opening() -> None:
            opened.append(await client.terminals.open())

        group.start_soon(opening)
        with anyio.fail_after(10):
            await anyio.to_thread.run_sync(mock.wait_received, "terminal_spawn")
            (spawn,) = [frame for frame in mock.received if frame["type"] == "terminal_spawn"]
            answer = {"type": "terminal_spawned", "terminal_id": spawn["terminal_id"], "pid": 1}
            mock.push(answer)
            while not opened:
                await anyio.lowlevel.checkpoint()
            mock.cut_connections()
            with pytest.raises(letta.Disconnected) as ended:
                await anext(opened[0])
        assert ended.value.will_reconnect


async def test_closing_ends_the_waiting_at_once(mock: MockServer) -> None:
    client = await letta.connect(mock.url, reconnect=SLOW)
    states = States(client)
    mock.cut_connections()
    await states.until("reconnecting")
    with anyio.fail_after(2):
        await client.close()
    assert states.seen == ["reconnecting", "closed"]


async def test_without_it_a_loss_is_the_end(mock: MockServer) -> None:
    async with letta.connect(mock.url, reconnect=False) as client:
        states = States(client)
        mock.cut_connections()
        await states.until("disconnected")
        assert states.seen == ["disconnected"]


async def test_the_log_tells_of_the_connection(
    mock: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "letta_app_client")

    def told() -> list[tuple[str, str]]:
        found = [(one.levelname, one.getMessage()) for one in caplog.records]
        caplog.clear()
        return found

    some = Reconnect(max_attempts=2, base=0.05, cap=0.05)
    async with letta.connect(mock.url, reconnect=some) as client:
        states = States(client)
        mock.cut_connections()
        await states.until("open")
        (lost, back) = told()
        assert lost[0] == back[0] == "INFO"
        assert lost[1].startswith(
            "the connection was lost and is being reopened (close code 1006): "
        )
        assert re.fullmatch(r"the connection is open again, after \d+\.\d s", back[1])
        await anyio.to_thread.run_sync(mock.close)
        await states.until("disconnected")
        (_, over) = told()
        assert over[0] == "WARNING"
        assert "the client gave up reconnecting" in over[1]
        assert "connection refused" in over[1]
    assert told() == []


async def test_the_log_tells_of_a_connection_that_is_not_opened_again(
    mock: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "letta_app_client")
    async with letta.connect(mock.url, reconnect=False) as client:
        states = States(client)
        mock.cut_connections()
        await states.until("disconnected")
    (told,) = caplog.records
    assert told.levelname == "INFO"
    assert told.getMessage().startswith(
        "the connection was lost and is not reopened (close code 1006): "
    )


async def test_the_log_tells_what_a_closed_client_has_not_sent(
    scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "letta_app_client")
    mock = scripted(answers={"input": None})
    async with letta.connect(mock.url) as client:
        runtime = await start(client)
        # The second one waits for the server's word on the first, which never comes.
        for _ in range(2):
            client.input(runtime=runtime, payload=message())
        await client.close()
        assert client.stats.unsent == 1
    (told,) = caplog.records
    assert told.levelname == "WARNING"
    assert told.getMessage().endswith("commands that nobody waited for were not sent: 1")


async def test_a_handler_that_raises_is_counted(
    mock: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with letta.connect(mock.url, reconnect=FAST) as client:
        client.on_state(lambda *_: 1 / 0)
        states = States(client)
        with caplog.at_level(logging.CRITICAL):
            mock.cut_connections()
            await states.until("open")
        assert client.stats.handler_errors == 2


def test_the_blocking_client_goes_on_too(mock: MockServer) -> None:
    with blocking.connect(mock.url, reconnect=FAST) as client:
        session = client.session(agent_id="a")
        again = threading.Event()
        client.on_state(lambda state, _: again.set() if state == "open" else None)
        mock.cut_connections()
        assert again.wait(10)
        assert session.run("?").text == "Hello world"


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Reconnect(max_attempts=0), "reconnect.max_attempts"),
        (lambda: Reconnect(base=0), "reconnect.base"),
        (lambda: Reconnect(cap=0.1), "reconnect.cap: expected at least base (0.25), got 0.1"),
        (
            lambda: Reconnect(base=float("inf")),
            "reconnect.base: expected a finite wait of less than a year, got inf",
        ),
        (lambda: Reconnect(cap="1"), "reconnect.cap"),  # type: ignore[arg-type]
        (lambda: letta.connect("ws://h", reconnect=3), "reconnect"),  # type: ignore[arg-type]
    ],
)
def test_bad_options_are_named(make: Callable[[], object], name: str) -> None:
    with pytest.raises(letta.InvalidOption, match="^" + re.escape(name)):
        make()


async def test_a_turn_outlives_its_connection(scripted: Scripted) -> None:
    pieces = [f"{n} " for n in range(60)]
    mock = scripted(script.turn(pieces, delay_ms=5))
    async with letta.connect(mock.url, reconnect=FAST, standby=True) as client:

        async def ready() -> None:
            with anyio.fail_after(10):
                while client.stats.standby != "ready":
                    await anyio.lowlevel.checkpoint()

        states = States(client)
        session = await client.session(agent_id="a")
        await ready()
        heard: list[str] = []
        with anyio.fail_after(20):
            turn = session.send("count")
            async for text in turn.stream_text():
                heard.append(text)
                if len(heard) in {5, 25}:
                    await ready()
                    mock.cut_connection(0)
                    await states.until("open", 1 if len(heard) == 5 else 2)
            result = await turn
        assert "".join(heard) == result.text == "".join(pieces)
        assert result.delivery == "sent"
        assert client.stats.reconnects == 2
    assert states.seen == ["reconnecting", "open"] * 2 + ["closed"]
