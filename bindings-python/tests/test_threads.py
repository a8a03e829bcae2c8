"""All entry points in a thread that runs no event loop, while the client's loop runs in another."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import sniffio
import trio

import letta_app_client as letta
from letta_app_client import _families, policy
from letta_app_client.testing import MockServer, script
from tests.helpers import RUNTIME, message
from tests.test_terminals import opened

FAMILIES = [name.lower() for name in _families.__all__]

SPECIAL = {"__aiter__", "__anext__", "__await__", "__aenter__", "__aexit__"}

TURN: dict[str, Any] = {"runtime": RUNTIME, "payload": message()}

ARGUMENTS: dict[str, dict[str, Any]] = {
    "input": TURN,
    "on_approval_request": {"handler": policy.allow_all()},
    "on_disconnect": {"handler": lambda _: None},
    "on_external_tool_call": {"handler": lambda _: ""},
    "on_lagged": {"handler": lambda _: None},
    "on_message": {"handler": lambda _frame, _channel: None},
    "on_send": {"handler": lambda _: None},
    "on_state": {"handler": lambda _state, _error: None},
    "request_raw": {"command": {"type": "x"}, "predicate": bool},
    "run_turn": TURN,
    "send": {"command": {"type": "input", **TURN}},
    "send_raw": {"command": {"type": "x"}},
    "send_turn": TURN,
    "submit_input": TURN,
    "Session.send": {"prompt": "?"},
    "Terminal.resize": {"cols": 90, "rows": 30},
}
"""What is given to those that look at it first; all others get texts."""

TO_BE_AWAITED = {
    "AppServerClient.send_turn",
    "Session.send",
    "Session.stream",
    "Session.stream_text",
}
"""What returns at once, and gives something to be waited for. All other plain methods only send,
ask the engine, or register something."""

AT_ONCE = {
    "AppServerClient.__aexit__",
    "AppServerClient.close",
    "FileChanges.__aenter__",
    "FileChanges.__aexit__",
    "FileChanges.aclose",
    "Opening.__aexit__",
    "Session.__aenter__",
    "Session.__aexit__",
    "Session.close",
    "Subscription.__aenter__",
    "Subscription.__aexit__",
    "Subscription.aclose",
    "Terminal.__aenter__",
    "Terminal.__aexit__",
    "Terminal.__await__",
    "Terminal.aclose",
    "Turn.__aenter__",
    "Turn.__aexit__",
    "TurnStream.aclose",
}
"""Coroutines that wait for nothing, of what is ready or is let go of."""

ENDS = {"close", "close_nowait", "aclose", "detach", "kill", "__aexit__"}
"""What ends the object."""


def entries(held: list[Any]) -> list[tuple[str, Callable[..., Any]]]:
    """All methods of objects; those that end something last, and the client at the very end."""
    found: list[tuple[str, Callable[..., Any]]] = []
    for one in held:
        for name, _ in inspect.getmembers(type(one), inspect.isfunction):
            if name in SPECIAL or not name.startswith("_"):
                found.append((f"{type(one).__name__}.{name}", getattr(one, name)))

    def rank(entry: tuple[str, object]) -> tuple[bool, bool]:
        kind, _, name = entry[0].rpartition(".")
        return name in ENDS, kind == "AppServerClient"

    return sorted(found, key=rank)


def given(name: str, call: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments for a call."""
    short = name.removeprefix("AppServerClient.")
    if short in ARGUMENTS:
        return [], ARGUMENTS[short]
    wanted = inspect.signature(call).parameters.values()
    required = [one for one in wanted if one.default is one.empty and one.kind not in (2, 4)]
    by_name = {one.name: "/x" for one in required if one.kind == one.KEYWORD_ONLY}
    return ["/x" for one in required if one.kind != one.KEYWORD_ONLY], by_name


def outcome(name: str, call: Callable[..., Any]) -> str:
    """What a call in this thread comes to, as far as it gets without a loop."""
    args, named = given(name, call)
    try:
        made: Any = call(*args, **named)
        if inspect.isasyncgen(made):
            made = made.__anext__()
        if not hasattr(made, "send") or isinstance(made, letta.Session):
            return "done"
        try:
            made.send(None)
        except StopIteration:
            return "done"
        finally:
            made.close()
    except letta.WrongLoop as error:
        return "refused" if error.hint else "refused without a hint"
    except (letta.InvalidCommand, letta.InvalidOption):
        return "done"  # it was looked at
    return "waits"


async def held_by(client: letta.AppServerClient, mock: MockServer, path: Path) -> list[Any]:
    """One of everything that has methods."""
    session = await client.session(agent_id="a")
    terminal = await opened(client, mock)
    turn = session.send("?", approvals="wait")
    await turn.approval_request()
    return [
        client,
        *(getattr(client, name) for name in FAMILIES),
        client.session(agent_id="b"),
        session,
        turn,
        session.send("?").stream_text(),
        client.messages(),
        terminal,
        client.files.changes(str(path)),
    ]


def expected(name: str, call: Callable[..., Any]) -> str:
    """What has to come of a call."""
    waits = inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call)
    waits = waits or name.endswith(("__await__", "Session.messages", ".all"))
    return "refused" if (waits and name not in AT_ONCE) or name in TO_BE_AWAITED else "done"


@pytest.fixture
def waiting_mock(scripted: Callable[..., MockServer]) -> MockServer:
    return scripted(script.turn(tool_calls=[script.call("Bash", needs_approval=True)]))


async def in_a_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Calls it in a thread, of asyncio or of trio."""
    if sniffio.current_async_library() == "trio":
        return await trio.to_thread.run_sync(function, *args)
    return await asyncio.to_thread(function, *args)


@pytest.mark.anyio
async def test_in_a_thread_without_a_loop(waiting_mock: MockServer, tmp_path: Path) -> None:
    """What sends works there; what is to be waited for says where to call it."""
    mock = waiting_mock
    async with letta.connect(mock.url) as client:
        held = await held_by(client, mock, tmp_path)
        calls = entries(held)
        assert {name for name, _ in calls} >= TO_BE_AWAITED | AT_ONCE
        came_to = {name: await in_a_thread(outcome, name, call) for name, call in calls}
    wrong = {name: came_to[name] for name, call in calls if came_to[name] != expected(name, call)}
    assert wrong == {}


def test_when_the_loop_has_ended(mock: MockServer) -> None:
    async def main() -> tuple[letta.AppServerClient, letta.Session]:
        client = await letta.connect(mock.url)
        return client, await client.session(agent_id="a")

    for backend in ("asyncio", "trio"):
        client, session = anyio.run(main, backend=backend)
        with pytest.raises(letta.WrongLoop, match="or has ended"):
            session.send("?")
        client.close_nowait()
    mock.assert_received("input", times=0)


def test_between_two_runs_of_a_loop(mock: MockServer) -> None:
    """As in IPython, where a cell that awaits nothing is run outside of the loop."""

    async def main() -> letta.Session:
        client = await letta.connect(mock.url)
        return await client.session(agent_id="a")

    loop = asyncio.new_event_loop()
    try:
        session = loop.run_until_complete(main())
        turn = session.send("?")
        assert loop.run_until_complete(turn.result()).text == "Hello world"
        loop.run_until_complete(session.client.close())
    finally:
        loop.close()
