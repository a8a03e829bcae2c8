"""Whoever gets an error sees the line of their own program that led to it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client.testing import MockServer, script

pytestmark = pytest.mark.anyio


def own_lines(trace: TracebackType | None) -> list[str]:
    """The lines of this file in a traceback, the innermost last."""
    return [frame.line or "" for frame in traceback.extract_tb(trace) if frame.filename == __file__]


async def run(session: letta.Session) -> None:
    await session.run("?")


async def run_structured(session: letta.Session) -> None:
    await session.run("?", output_type=int)


async def await_a_turn(session: letta.Session) -> None:
    turn = session.client.send_turn(
        runtime=session.runtime,
        payload={"kind": "create_message", "messages": [{"role": "user", "content": "?"}]},
        check=True,
    )
    await turn


async def follow_events(session: letta.Session) -> None:
    async for _ in session.stream("?", timeout=0.05):
        pass


async def follow_text(session: letta.Session) -> None:
    async for _ in session.stream_text("?", timeout=0.05):
        pass


async def map_prompts(session: letta.Session) -> None:
    await letta.map(session.client, ["?"], agents=["a"], check=True)


async def request(session: letta.Session) -> None:
    await session.client.request("list_models", timeout=0.05)


FAILS = script.turn("half", error="no credits")
HANGS = script.turn("half", hang=True)


@pytest.mark.parametrize(
    ("program", "turn", "kind", "line"),
    [
        (run, FAILS, letta.TurnFailed, 'await session.run("?")'),
        (run_structured, FAILS, letta.TurnFailed, 'await session.run("?", output_type=int)'),
        (await_a_turn, FAILS, letta.TurnFailed, "await turn"),
        (
            follow_events,
            HANGS,
            letta.TurnTimeout,
            'async for _ in session.stream("?", timeout=0.05):',
        ),
        (
            follow_text,
            HANGS,
            letta.TurnTimeout,
            'async for _ in session.stream_text("?", timeout=0.05):',
        ),
        (
            map_prompts,
            FAILS,
            letta.TurnFailed,
            'await letta.map(session.client, ["?"], agents=["a"], check=True)',
        ),
        (
            request,
            FAILS,
            letta.RequestTimeout,
            'await session.client.request("list_models", timeout=0.05)',
        ),
    ],
)
async def test_an_error_leads_to_the_line_that_waited(
    program: Callable[[letta.Session], Awaitable[None]], turn: Any, kind: type, line: str
) -> None:
    with MockServer([turn]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a")
            with pytest.raises(kind) as caught:
                await program(session)
    assert own_lines(caught.tb)[-1] == line


class Careless:
    """Functions with a line that fails."""

    def tool(self) -> str:
        """Look it up."""
        raise LookupError("from the tool")

    async def async_tool(self) -> str:
        """Look it up."""
        await anyio.lowlevel.checkpoint()
        raise LookupError("from the tool")

    def decide(self, _: letta.ApprovalRequest) -> letta.Decision:
        raise LookupError("from the handler")

    async def decide_async(self, _: letta.ApprovalRequest) -> letta.Decision:
        await anyio.lowlevel.checkpoint()
        raise LookupError("from the handler")

    def on_message(self, *_: object) -> None:
        raise LookupError("from the listener")


def logged_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The innermost line of this file of each error that was logged with its traceback."""
    return [
        own_lines(record.exc_info[2])[-1]
        for record in caplog.records
        if record.levelno >= logging.ERROR and record.exc_info
    ]


@pytest.mark.parametrize("name", ["tool", "async_tool"])
async def test_a_tool_that_fails_is_logged_with_its_line(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    failing = letta.tool(getattr(Careless(), name))
    with MockServer([script.turn(tool_calls=[script.call(name)])]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a", tools=[failing])
            (call,) = (await session.run("?")).tool_calls
    # The agent is told what, and not where.
    assert (call.status, call.output) == ("error", "LookupError: from the tool")
    assert logged_lines(caplog) == ['raise LookupError("from the tool")']
    assert f"the tool {name} failed" in caplog.text


@pytest.mark.parametrize("name", ["decide", "decide_async"])
async def test_a_handler_that_fails_is_logged_with_its_line(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    asking = script.turn(tool_calls=[script.call("Bash", needs_approval=True)])
    with MockServer([asking]) as mock:
        async with letta.connect(mock.url) as client:
            approvals = getattr(Careless(), name)
            session = await client.session(agent_id="a", approvals=approvals)
            (call,) = (await session.run("?")).tool_calls
    assert call.status == "error"
    assert logged_lines(caplog) == ['raise LookupError("from the handler")']


async def test_a_listener_that_fails_is_logged_with_its_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with MockServer() as mock:
        async with letta.connect(mock.url) as client:
            client.on_message(Careless().on_message, types="turn_finished")
            session = await client.session(agent_id="a")
            await session.run("?")
    assert logged_lines(caplog) == ['raise LookupError("from the listener")']
