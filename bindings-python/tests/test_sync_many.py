"""Many prompts, objects as answers and a server's lines, without an event loop."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import letta_app_client
from letta_app_client import InvalidOption
from letta_app_client import sync as letta
from letta_app_client.testing import MockServer, script
from tests.test_server import COMMAND


@pytest.mark.parametrize("listening", [False, True])
def test_many_prompts(*, listening: bool, mock: MockServer) -> None:
    steps: list[tuple[int, int]] = []
    items: dict[int, Any] = {}
    with letta.connect(mock.url) as client:
        if listening:
            # Then a thread of the client's own looks for deliveries.
            client.on_message(lambda *_: None)
        batch = letta.map(
            client,
            ["a", "b", "c", "d"],
            agents=["x", "y"],
            limit=2,
            progress=lambda *step: steps.append(step),
            # Other threads may go on meanwhile, and use the client.
            on_item=lambda index, item: items.update({index: (item, client.state)}),
        )
        assert items == {index: (item, "open") for index, item in enumerate(batch)}
        assert [(item.prompt, item.agent_id, item.text) for item in batch] == [
            ("a", "x", "Hello world"),
            ("b", "y", "Hello world"),
            ("c", "x", "Hello world"),
            ("d", "y", "Hello world"),
        ]
        assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_many_prompts_of_which_one_fails(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("on and on", hang=True), script.turn("half", error="no credits"))
    with letta.connect(mock.url) as client:
        with pytest.raises(letta.TurnFailed, match="no credits"):
            letta.map(client, ["a", "b", "c"], agents="x", limit=2, check=True)
        client.info()
    mock.assert_received("abort_message", times=1)
    mock.assert_received("input", times=2)


@pytest.mark.skipif(os.name == "nt", reason="another process is interrupted differently there")
def test_an_interrupt_stops_every_turn(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("on and on", hang=True))
    program = """
import sys, threading, signal, os
from letta_app_client import sync as letta
def interrupt():
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
with letta.connect(sys.argv[1]) as client:
    try:
        letta.map(client, ["a", "b", "c", "d"], agents="x", limit=3)
    except KeyboardInterrupt:
        client.info()
        print("interrupted")
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, mock.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert mock.wait_received("input", 3)
        said, _ = process.communicate("now\n", timeout=30)
    assert (said, process.returncode) == ("interrupted\n", 0)
    mock.assert_received("abort_message", times=3)
    mock.assert_received("input", times=3)


def test_turns_that_were_sent(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("one"), script.turn("half", error="no credits"))
    steps: list[tuple[int, int]] = []
    with letta.connect(mock.url) as client, letta.connect(mock.url) as other:
        session = client.session(agent_id="x")
        first = session.send("a")
        assert mock.wait_received("input", 1)
        batch = letta.gather(
            client.session(agent_id="y").send("b"), first, progress=lambda *step: steps.append(step)
        )
        assert [(item.prompt, item.agent_id, item.text) for item in batch] == [
            ("b", "y", "half"),
            ("a", "x", "one"),
        ]
        assert [type(item.error) for item in batch] == [letta.TurnFailed, type(None)]
        assert steps == [(1, 2), (2, 2)]
        with pytest.raises(letta.TurnFailed, match="no credits"):
            letta.gather(session.send("c"), check=True)
        # Only the deliveries of one client are looked for while a call waits.
        with pytest.raises(letta.InvalidOption, match=r"^turns: expected turns of one client"):
            letta.gather(first, other.session(agent_id="z").send("d"))
        assert len(letta.gather()) == 0


@pytest.mark.skipif(os.name == "nt", reason="another process is interrupted differently there")
def test_an_interrupt_stops_what_is_gathered(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("on and on", hang=True))
    program = """
import sys, threading, signal, os, time, traceback
from letta_app_client import sync as letta
def where():
    frames = traceback.walk_stack(sys._current_frames()[threading.main_thread().ident])
    return {frame.f_code.co_name for frame, _ in frames}
def interrupt():
    # Not before: outside of the call nobody stops the turns, and in a finalizer Python swallows it.
    while not {"gather", "waiting"} <= where():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
with letta.connect(sys.argv[1]) as client:
    turns = [client.session(agent_id=agent).send("?") for agent in "abc"]
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        letta.gather(*turns)
    except KeyboardInterrupt:
        print(*(turn.result().status for turn in turns))
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, mock.url],
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert mock.wait_received("input", 3)
        said, _ = process.communicate(timeout=30)
    assert (said, process.returncode) == ("aborted aborted aborted\n", 0)
    mock.assert_received("abort_message", times=3)


def test_an_object_as_the_answer(scripted: Callable[..., MockServer]) -> None:
    @dataclass
    class Place:
        line: int

    @dataclass
    class Finding:
        place: Place

    good = script.call("submit_result", {"place": {"line": 3}}, needs_approval=True)
    mock = scripted(
        script.turn("No."),
        script.turn(tool_calls=[script.call("submit_result", {"place": {"line": "x"}}), good]),
        script.turn("No."),
    )
    with letta.connect(mock.url, settle_pause=0) as client, client.session(agent_id="a") as session:
        found: letta.StructuredResult[Finding] = session.run("?", output_type=Finding)
        assert found.output == Finding(Place(3))
        with pytest.raises(letta.StructuredOutputError):
            session.run("?", output_type=int)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is told to end by signals")
def test_the_lines_of_a_server(tmp_path: os.PathLike[str]) -> None:
    lines: list[str] = []
    seen = threading.Event()

    def on_log(line: str) -> None:
        lines.append(line)
        if line.startswith("Listening on"):
            seen.set()

    with letta.spawn_server(COMMAND, cwd=tmp_path, on_log=on_log) as server:
        # Also while nobody waits for anything.
        assert seen.wait(10)
        options = server.options(request_timeout=3)
        assert (options.url, options.token) == (server.url, server.token)
    assert lines[0].startswith("arguments: ")
    with pytest.raises(TypeError, match="on_log"):
        letta.spawn_server(COMMAND, on_log=7)  # type: ignore[arg-type]


def test_each_client_has_its_own_functions_for_many(mock: MockServer) -> None:
    asynchronous = letta_app_client.create_app_server_client(url=mock.url)
    wrong: Any
    with letta.connect(mock.url) as client:
        turn = client.session(agent_id="a").send("?")
        for wrong, kind in ((client, "a blocking AppServerClient"), (None, "NoneType")):
            with pytest.raises(
                InvalidOption, match=f"^client: expected an AppServerClient, got {kind} "
            ) as caught:
                asyncio.run(letta_app_client.map(wrong, ["?"], agents="a"))
            assert "letta_app_client.sync.map" in str(caught.value.hint)
        for wrong, kind in ((asynchronous, "AppServerClient"), (mock.url, "str")):
            with pytest.raises(
                InvalidOption, match=f"^client: expected a blocking AppServerClient, got {kind} "
            ):
                letta.map(wrong, ["?"], agents="a")
        blocking: Any = turn
        with pytest.raises(InvalidOption, match=r"^turns: expected .*, got a blocking Turn "):
            asyncio.run(letta_app_client.gather(blocking))
        with pytest.raises(InvalidOption, match=r"^turns: expected .*, got list "):
            letta.gather([turn])  # type: ignore[arg-type]
        turn.result()
    asyncio.run(asynchronous.close())
    mock.assert_received("runtime_start", times=1)


@pytest.mark.parametrize("prompts", [{"prompt": "?"}, 5, None, "one text"])
def test_what_is_no_list_of_prompts_is_refused(mock: MockServer, prompts: Any) -> None:
    with letta.connect(mock.url) as client:
        with pytest.raises(InvalidOption, match=r"^prompts: expected several, got "):
            letta.map(client, prompts, agents="a")
        with pytest.raises(InvalidOption, match=r"^prompts: expected several, got "):
            letta.map(client, prompts=prompts, agents="a")
    mock.assert_received("input", times=0)
