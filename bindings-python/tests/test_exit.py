"""What was handed over right before a program ends, without a close, leaves or is told of."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from letta_app_client.testing import MockServer, script

Scripted = Callable[..., MockServer]

BLOCKING = """
import sys
from letta_app_client import sync
client = sync.connect(sys.argv[1])
session = client.session(agent_id="a", conversation_id="c")
"""

ASYNCIO = """
import asyncio, sys
import letta_app_client as letta
async def main():
    client = await letta.connect(sys.argv[1])
    session = await client.session(agent_id="a", conversation_id="c")
"""

IN_A_PAUSE = {
    "blocking": BLOCKING
    + """
session.run("one")
session.send("two").detach()
kept = session.send("three")
""",
    "asyncio": ASYNCIO
    + """
    global kept
    await session.run("one")
    session.send("two").detach()
    kept = session.send("three")
asyncio.run(main())
""",
    "trio": """
import sys, trio
import letta_app_client as letta
async def main():
    client = await letta.connect(sys.argv[1])
    session = await client.session(agent_id="a", conversation_id="c")
    await session.run("one")
    session.send("two").detach()
    session.send("three").detach()
trio.run(main)
""",
}


def end(program: str, mock: MockServer) -> str:
    """Runs a program to its end, and gives what it said."""
    command = [sys.executable, "-c", program, mock.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("way", IN_A_PAUSE)
def test_what_waits_for_the_pause_after_a_turn_leaves_before_the_end(way: str) -> None:
    turns = [script.turn("x"), script.turn("x"), script.turn("x", hang=True)]
    with MockServer(turns) as mock:
        assert end(IN_A_PAUSE[way], mock) == ""
        mock.wait_received("input", times=3, timeout=5)


@pytest.mark.parametrize("way", ["blocking", "asyncio"])
def test_what_does_not_leave_before_the_end_is_told(scripted: Scripted, way: str) -> None:
    # The second one waits for the server's word on the first, which never comes.
    inputs = """
for text in ("one", "two"):
    session.send(text).detach()
"""
    program = BLOCKING + inputs
    if way == "asyncio":
        program = ASYNCIO + inputs.replace("\n", "\n    ") + "\nasyncio.run(main())"
    mock = scripted(answers={"input": None})
    assert end(program, mock) == (
        "the program ends, and commands that nobody waited for were not sent: 1\n"
    )


def test_a_program_with_nothing_unsent_does_not_wait(scripted: Scripted) -> None:
    timed = """
import atexit, time
from letta_app_client import _exit
start = time.perf_counter()
_exit.leave()
print(time.perf_counter() - start)
"""
    command = [sys.executable, "-c", BLOCKING + timed, scripted().url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert float(done.stdout) < 0.1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_leaves_what_is_the_parents(scripted: Scripted) -> None:
    forked = """
import os, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)
for text in ("one", "two"):
    session.send(text).detach()
from letta_app_client import _native
child = os.fork()
if child == 0:
    assert _native.leave() == 0
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert _native.leave() == 1
client.close()
assert client.stats.unsent == 1
assert _native.leave() == 0
"""
    said = end(BLOCKING + forked, scripted(answers={"input": None}))
    assert said.count("were not sent: 1") == 1
    assert "the program ends" not in said
