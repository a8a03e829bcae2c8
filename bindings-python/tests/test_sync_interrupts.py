"""Ctrl-C while a blocking call waits: at once, and the turn is stopped on the server."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from letta_app_client import sync as letta
from letta_app_client.sync._interrupts import Interrupts
from letta_app_client.testing import MockServer, script

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent by Unix means")

HEAD = """
import asyncio, signal, sys, threading
import letta_app_client
from letta_app_client import sync as letta

client = letta.connect(sys.argv[1])
session = client.session(agent_id="a")

def wait():
    try:
        session.run("?")
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        client.close()
        print("closed", flush=True)
"""

WAYS = {
    "script": "wait()",
    "loop": """
async def main():
    wait()
try:
    asyncio.run(main())
except BaseException as error:
    sys.exit(repr(error))
""",
    "with_a_handler": """
client.on_message(lambda *_: None)
wait()
""",
    "while_another_thread_looks": """
def look():
    try:
        client.request("list_models")
    except letta.ClientClosed:
        return
threading.Thread(target=look).start()
wait()
""",
    "following": """
try:
    for event in session.stream("?"):
        pass
except KeyboardInterrupt:
    print("interrupted", flush=True)
    client.close()
    print("closed", flush=True)
""",
    "a_handler_of_ones_own": """
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(client.sync(runtime=session.runtime)))
try:
    session.run("?", timeout=1)
except letta.TurnTimeout:
    assert len(seen) == 1 and seen[0].success
    print("interrupted", flush=True)
client.close()
print("closed", flush=True)
""",
    "a_handler_that_waits_for_a_thread": """
def work():
    while not stop.is_set():
        client.sync(runtime=session.runtime)
def handler(*_):
    stop.set()
    worker.join()
    print("interrupted", flush=True)
stop = threading.Event()
worker = threading.Thread(target=work)
signal.signal(signal.SIGINT, handler)
worker.start()
try:
    session.run("?", timeout=1)
except letta.TurnTimeout:
    client.close()
    print("closed", flush=True)
""",
    "trio": """
import trio
async def main():
    wait()
trio.run(main)
""",
}


def run(code: str, mock: MockServer) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", HEAD + code, mock.url],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


BESIDE_AN_EVENT = """
stream = session.stream("?")
event = next(stream)

def ready():
    signal.raise_signal(signal.SIGINT)
    return event

stream._inner._now = ready
try:
    next(stream)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    client.close()
    print("closed", flush=True)
"""


def test_an_interrupt_beside_an_event_stops_the_turn(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn(["so far"], hang=True))
    done = run(BESIDE_AN_EVENT, mock)
    assert (done.stdout.split(), done.stderr) == (["interrupted", "closed"], "")
    assert mock.wait_received("abort_message", timeout=2)


BESIDE_ITEMS = """
from letta_app_client.sync._faces import shown

async def items():
    for item in range(3):
        signal.raise_signal(signal.SIGINT)
        yield item

def all_of(iterator):
    interrupts, found = 0, []
    while True:
        try:
            found.append(next(iterator))
        except StopIteration:
            return interrupts, found
        except KeyboardInterrupt:
            interrupts += 1

print(all_of(shown(items(), client._loop)))
async def numbers():
    for item in range(3):
        yield item

def with_another(make, keep=None):
    value = run(make, keep)
    client._loop.run = run
    others.append(next(iterator))
    return value

iterator, others, run = shown(numbers(), client._loop), [], client._loop.run
client._loop.run = with_another
print([next(iterator), *others, next(iterator)])
plain, interrupted = client.messages(), client.messages()
session.run("?")
inbox = interrupted._inner._inbox
following = inbox.next

async def beside():
    message = await following()
    if message is not None:
        signal.raise_signal(signal.SIGINT)
    return message

inbox.next = beside
threading.Timer(1, client.close).start()
interrupts, found = all_of(interrupted)
print(interrupts == len(found) > 0 and found == list(plain))
"""


def test_an_interrupt_beside_an_item_loses_none(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn(["one", "two"]))
    done = run(BESIDE_ITEMS, mock)
    assert (done.stdout.splitlines(), done.stderr) == (["(3, [0, 1, 2])", "[0, 1, 2]", "True"], "")


@pytest.mark.parametrize("way", WAYS)
def test_a_waiting_call_is_interrupted(way: str, scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn(["so far"], hang=True))
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", HEAD + WAYS[way], mock.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert mock.wait_received("input")
        # It waits by now, or will in a moment: both have to end.
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=20)
    assert (output.split(), errors, child.returncode) == (["interrupted", "closed"], "", 0)
    assert mock.wait_received("abort_message")


def test_the_handler_is_the_one_before_afterwards(mock: MockServer) -> None:
    before = signal.getsignal(signal.SIGINT)
    with letta.connect(mock.url) as client:
        client.session(agent_id="a").run("?")
        assert signal.getsignal(signal.SIGINT) is before


def test_what_is_not_waiting_is_not_interrupted() -> None:
    steps: list[str] = []

    def wait() -> None:
        steps.append("waits")
        signal.raise_signal(signal.SIGINT)
        steps.append("never")

    def before() -> None:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            steps.append("goes on")
            interrupts.waiting(lambda: steps.append("not called"))

    def during() -> None:
        with Interrupts() as interrupts:
            interrupts.waiting(wait)

    def without() -> None:
        with Interrupts():
            signal.raise_signal(signal.SIGINT)
            steps.append("at the end")

    for way in (before, during, without):
        with pytest.raises(KeyboardInterrupt):
            way()
    assert steps == ["goes on", "waits", "at the end"]


def test_a_handler_of_the_program_is_called_once_and_may_return() -> None:
    calls: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: calls.append(number))
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            assert calls == []
            interrupts.waiting(lambda: signal.raise_signal(signal.SIGINT))
            assert calls == [signal.SIGINT] * 2
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_are_not_concerned() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def work() -> None:
        with Interrupts() as interrupts:
            interrupts.waiting(lambda: seen.append(signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_it_is_quick(scripted: Callable[..., MockServer]) -> None:
    """The wait ends with the signal, and not with the next look at a clock."""
    mock = scripted(script.turn(["so far"], hang=True))
    code = HEAD + "import time\ntry:\n    session.run('?')\nexcept KeyboardInterrupt:\n"
    code += "    print(time.monotonic())\n"
    with subprocess.Popen(
        [sys.executable, "-c", code, mock.url], stdout=subprocess.PIPE, text=True
    ) as child:
        assert mock.wait_received("input")
        sent = time.monotonic()
        child.send_signal(signal.SIGINT)
        output, _ = child.communicate(timeout=20)
    # Generous: the machine may be busy, but not for the seconds in which a turn is given up.
    assert float(output) - sent < 1.5


class Ended(BaseException):
    """What a signal's handler raises to end the program, as ``SystemExit`` does."""


def test_what_a_signals_handler_raises_amid_deliveries_ends_the_wait() -> None:
    def end(*_: object) -> None:
        raise Ended

    before = signal.signal(signal.SIGUSR1, end)
    turns = [script.turn(["so far"], hang=True), script.turn("again")]
    try:
        with MockServer(turns) as mock, letta.connect(mock.url) as client:
            session = client.session(agent_id="a")
            face: Any = client
            loop = face._loop
            bell = loop._bell

            def ring() -> None:
                bell()
                loop._bell = bell
                signal.raise_signal(signal.SIGUSR1)

            loop._bell = ring
            with pytest.raises(Ended):
                session.run("?", timeout=5)
            assert mock.wait_received("abort_message")
            assert session.run("?").text == "again"
    finally:
        signal.signal(signal.SIGUSR1, before)
