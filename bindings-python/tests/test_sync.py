"""Clients without an event loop: in one thread, in many, and where a loop runs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

import letta_app_client
from letta_app_client import ApprovalRequest, Decision, Message
from letta_app_client import sync as letta
from letta_app_client.testing import MockServer, script
from tests.helpers import message

HANGING = script.turn(["so far"], hang=True)


@pytest.fixture
def client(mock: MockServer) -> Iterator[letta.AppServerClient]:
    with letta.connect(mock.url, settle_pause=0) as client:
        yield client


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_asking_following_and_keeping_a_handle(client: letta.AppServerClient) -> None:
    with client.session(agent_id="a", cwd=".") as session:
        assert session.client is client
        assert session.run("?").text == "Hello world"
        events = list(session.stream("?"))
        assert isinstance(events[-1], letta.TurnFinished)
        assert "".join(session.stream_text("?")) == "Hello world"
        turn = session.send("?")
        assert turn.result().text == turn.result().text == "Hello world"
        assert turn.status == "completed"
        with session.send("?") as turn:
            assert [event.type for event in turn] == [event.type for event in events]
        assert session.usage.total_tokens == 5 * 12
        runtime = session.runtime
    assert client.run_turn(runtime=runtime, payload=message()).text == "Hello world"
    assert client.runtimes.sync(runtime=runtime).success


def test_a_script_has_no_thread_besides_its_own(mock: MockServer) -> None:
    before = threading.active_count()
    with letta.connect(mock.url) as client:
        client.session(agent_id="a").run("?")
        assert threading.active_count() == before


def test_a_turn_that_is_only_asked_how_it_stands_ends(client: letta.AppServerClient) -> None:
    session = client.session(agent_id="a")
    before = threading.active_count()
    turn = session.send("?")
    until(lambda: turn.status == "completed")
    assert repr(turn) == "<Turn completed>"
    assert session.usage.total_tokens == 12
    told = session.send("?")
    until(lambda: told.explain().startswith("completed after"))
    shown = session.send("?")
    until(lambda: repr(shown) == "<Turn completed>")
    last = session.send("?")
    until(lambda: session.usage.total_tokens == 4 * 12)
    assert last.status == "completed"
    assert threading.active_count() == before


def test_so_does_one_whose_time_is_over() -> None:
    with MockServer([HANGING]) as mock, letta.connect(mock.url, settle_pause=0) as client:
        turn = client.session(agent_id="a").send("?", timeout=0.2)
        until(lambda: turn.explain() == "aborted: the turn did not end within 0.2 s")
        with pytest.raises(letta.TurnTimeout):
            turn.result()


def test_asking_does_not_keep_from_waiting(client: letta.AppServerClient) -> None:
    session = client.session(agent_id="a")
    turns = [session.send("?") for _ in range(20)]
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(turn.result) for turn in turns]
        until(lambda: all(turn.status == "completed" for turn in turns))
        assert [one.result(10).status for one in waiting] == ["completed"] * 20


def test_a_running_loop_does_not_matter(mock: MockServer) -> None:
    async def main() -> str:
        with letta.connect(mock.url) as client:
            return client.session(agent_id="a").run("?").text

    assert asyncio.run(main()) == "Hello world"
    trio = pytest.importorskip("trio")
    assert trio.run(main) == "Hello world"


def test_both_kinds_of_clients_in_one_program(mock: MockServer) -> None:
    async def main() -> tuple[str, str]:
        async with letta_app_client.connect(mock.url) as asynchronous:
            with letta.connect(mock.url) as blocking:
                other = await asynchronous.session(agent_id="a")
                turn = other.send("?")
                text = blocking.session(agent_id="b").run("?").text
                return text, (await turn).text

    assert asyncio.run(main()) == ("Hello world", "Hello world")


def test_many_threads_share_a_client(client: letta.AppServerClient) -> None:
    def work(number: int) -> list[str]:
        session = client.session(agent_id=f"agent-{number}")
        texts = [session.run("?").text for _ in range(3)]
        return [*texts, "".join(session.stream_text("?"))]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(16))) == [["Hello world"] * 4] * 16


def test_handlers_are_called_while_nobody_waits(
    client: letta.AppServerClient, mock: MockServer
) -> None:
    threads: list[str] = []
    seen = threading.Event()

    def handler(frame: Message, _: str) -> None:
        # A handler may use the client, and may wait for its answers.
        assert client.sync(runtime=runtime).success
        threads.append(threading.current_thread().name)
        seen.set()

    runtime = client.session(agent_id="a").runtime
    remove = client.on_message(handler, types="pushed")
    mock.push({"type": "pushed"})
    assert seen.wait(10)
    assert threads == ["letta-app-client"]
    assert client.session(agent_id="b").run("?").text == "Hello world"
    remove()
    mock.push({"type": "pushed"})
    assert client.sync(runtime=runtime).success
    assert len(threads) == 1


def test_a_handler_that_raises_disturbs_nobody(
    client: letta.AppServerClient, mock: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise SystemExit

    client.on_message(broken, types="pushed")
    mock.push({"type": "pushed"})
    session = client.session(agent_id="a")
    assert session.run("?").text == "Hello world"
    assert client.stats.handler_errors == 1
    assert "would have ended" in caplog.text


def test_what_comes_while_on_send_runs_is_not_lost(
    client: letta.AppServerClient, mock: MockServer
) -> None:
    session = client.session(agent_id="a")
    finished = threading.Event()
    client.on_message(lambda *_: finished.set(), types="turn_finished")

    def slow(command: dict[str, Any]) -> None:
        # The whole turn may pass before the call that sent its input goes on.
        if command["type"] == "input":
            assert finished.wait(10)

    client.on_send(slow)
    assert session.send("?", timeout=20).result().text == "Hello world"


def test_a_handler_that_is_registered_from_within_holds_up_nothing(
    client: letta.AppServerClient,
) -> None:
    def progress(done: int, _: int) -> None:
        if done == 1:
            client.on_message(lambda *_: None)
        client.info(timeout=10)

    batch = letta.map(client, ["a"] * 4, agents="x", limit=2, progress=progress)
    assert [item.text for item in batch] == ["Hello world"] * 4


def test_what_is_dropped_may_tell_its_command(
    client: letta.AppServerClient, mock: MockServer
) -> None:
    sent: list[str] = []
    client.on_send(lambda command: sent.append(command["type"]))
    changes = client.files.changes("/a")
    del changes
    gc.collect()
    assert mock.wait_received("unwatch_file")
    assert sent == ["watch_file", "unwatch_file"]
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(client.info).result(10).type == "app_server_info_response"


def test_frames_are_read_like_a_list(client: letta.AppServerClient, mock: MockServer) -> None:
    with client.messages("one", "two") as messages:
        for kind in ("one", "other", "two"):
            mock.push({"type": kind})
        assert [next(messages).type, next(messages).type] == ["one", "two"]
    with pytest.raises(StopIteration):
        next(messages)


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_tools_run_even_while_nobody_waits(kind: str, scripted: Callable[..., MockServer]) -> None:
    def plain(q: str) -> str:
        """Looks it up."""
        return f"plain {q}"

    async def coroutine(q: str) -> str:
        """Looks it up."""
        await asyncio.sleep(0)
        return f"coroutine {q}"

    tool = {"plain": plain, "coroutine": coroutine}[kind]
    call = script.call(kind, {"q": "x"}, needs_approval=True)
    mock = scripted(script.turn("done", tool_calls=[call]))
    with letta.connect(mock.url) as client:
        turn = client.session(agent_id="a", tools=[tool]).send("?")
        assert mock.wait_received("external_tool_call_response")
        (done,) = turn.result().tool_calls
        assert (done.status, done.output) == ("success", f"{kind} x")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_permissions_are_decided_by_functions(
    *, asynchronous: bool, scripted: Callable[..., MockServer]
) -> None:
    asked: list[str] = []

    def decide(request: ApprovalRequest) -> Decision:
        asked.append(request.tool_name)
        return letta.allow()

    async def decide_later(request: ApprovalRequest) -> Decision:
        await asyncio.sleep(0)
        return decide(request)

    call = script.call("Write", needs_approval=True)
    mock = scripted(script.turn("done", tool_calls=[call]))
    with letta.connect(mock.url) as client:
        handler: Any = decide_later if asynchronous else decide
        session = client.session(agent_id="a", approvals=handler)
        assert session.run("?").tool_calls[0].status == "success"
    assert asked == ["Write"]


def test_leaving_the_loop_stops_the_turn(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(HANGING)
    with letta.connect(mock.url) as client:
        turn = client.session(agent_id="a").send("?")
        for _ in turn.stream_text():
            break
        assert mock.wait_received("abort_message")
        assert turn.result().status == "aborted"


@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_leaving_a_stream_before_it_began_stops_its_turn(
    scripted: Callable[..., MockServer], how: str
) -> None:
    mock = scripted(HANGING)
    with letta.connect(mock.url) as client:
        stream = client.session(agent_id="a").stream("?")
        assert mock.wait_received("input")
        if how == "closed":
            stream.close()
        del stream
        assert mock.wait_received("abort_message")


def test_a_list_can_be_closed() -> None:
    page = {"messages": [{"id": "2"}, {"id": "1"}], "has_more": True}
    with MockServer([], answers={"conversation_messages_list": page}) as mock:
        with letta.connect(mock.url) as client:
            session = client.session(agent_id="a", conversation_id="c")
            with contextlib.closing(session.messages()) as stored:
                assert next(stored)["id"] == "2"
            assert list(stored) == []
            with contextlib.closing(session.messages()) as unread:
                pass
            assert list(unread) == []
        mock.assert_received("conversation_messages_list", times=1)


def test_a_second_reader_is_refused_and_leaves_the_first_alone(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(script.turn("text", hang=True))
    read: list[str] = []
    with letta.connect(mock.url) as client:
        turn = client.session(agent_id="a").send("?")
        stream, seen = iter(turn), threading.Event()

        def reader() -> None:
            for event in stream:
                read.append(event.type)
                if event.type == "assistant_delta":
                    seen.set()

        thread = threading.Thread(target=reader)
        thread.start()
        assert seen.wait(10)
        while not turn._inner._flight._reading:  # type: ignore[attr-defined]
            time.sleep(0.01)
        with pytest.raises(RuntimeError, match="another task"):
            next(stream)
        assert turn.status == "running"
        turn.abort()
        thread.join(10)
    assert read[-1] == "finished"


def test_a_turn_is_stopped_or_left_alone(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(HANGING)
    with letta.connect(mock.url) as client:
        turn = client.session(agent_id="a").send("?")
        texts = turn.stream_text()
        assert next(texts) == "so far"
        assert "running" in turn.explain()
        left = client.session(agent_id="b").send("?")
        assert turn.abort().text == "so far"
        left.detach()
        with pytest.raises(letta.TurnInterrupted):
            left.result()


def test_errors_are_raised_where_the_call_is(mock: MockServer) -> None:
    with letta.connect(mock.url) as client:
        with pytest.raises(letta.RequestTimeout):
            client.request("list_models", timeout=0.01)
        with pytest.raises(letta.InvalidCommand, match="agent_id"):
            client.runtime_start(agent_id=7)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="unexpected keyword"):
            client.session(agent_id="a").run("?", nonsense=1)  # type: ignore[call-overload]
    with pytest.raises(letta.ClientClosed):
        client.session(agent_id="a")
    client.close()
    with pytest.raises(letta.ConnectionFailed):
        letta.connect("ws://127.0.0.1:9")


def test_closing_ends_the_waiting_of_other_threads(
    client: letta.AppServerClient, mock: MockServer
) -> None:
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            client.request("list_models", timeout=None)
        except letta.ClientClosed as error:
            errors.append(error)

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert mock.wait_received("list_models", 4)
    client.close()
    for thread in threads:
        thread.join(10)
    assert len(errors) == 4


def test_a_lost_connection_is_told_and_can_be_made_again(
    client: letta.AppServerClient, mock: MockServer
) -> None:
    lost = threading.Event()
    client.on_disconnect(lambda _: lost.set())
    for _ in range(3):
        mock.cut_connections()
        assert lost.wait(10)
        lost.clear()
        client.connect()
        assert client.session(agent_id="a").run("?").text == "Hello world"


def test_a_server_of_ones_own_is_refused_with_reason() -> None:
    with pytest.raises(letta.ServerStartError, match="no such option"):
        letta.spawn_server([sys.executable, "-c", "raise SystemExit('no such option')"])


FORKED = """
import os, sys, threading
from letta_app_client import sync as letta

client = letta.connect(sys.argv[1])
session = client.session(agent_id="a")
client.on_message(lambda *_: None)
if os.fork() == 0:
    calls = (
        lambda: session.run("?"),
        lambda: client.stats,
        lambda: client.state,
        lambda: client.messages(),
    )
    for call in calls:
        try:
            call()
        except letta.ForkedProcess:
            continue
        os._exit(1)
    if repr(client) != "<AppServerClient of another process>":
        os._exit(3)
    client.close()
    with letta.connect(sys.argv[1]) as mine:
        text = mine.session(agent_id="a").run("?").text
    os._exit(0 if text == "Hello world" else 2)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
assert session.run("?").text == "Hello world"
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_fork_is_refused_and_makes_its_own(mock: MockServer) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKED, mock.url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_async_tool_is_cancelled_with_its_turn(scripted: Callable[..., MockServer]) -> None:
    cancelled = threading.Event()
    running = threading.Event()

    async def slow() -> str:
        """Takes long."""
        try:
            running.set()
            await anyio.sleep_forever()
        finally:
            cancelled.set()
        return ""

    mock = scripted(script.turn("done", tool_calls=[script.call("slow", needs_approval=True)]))
    with letta.connect(mock.url) as client:
        turn = client.session(agent_id="a", tools=[slow]).send("?")
        assert running.wait(10)
        turn.abort()
        assert cancelled.wait(10)
