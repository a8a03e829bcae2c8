"""Calls of tools: what becomes of the arguments, of exceptions, and where functions run."""

from __future__ import annotations

import gc
import logging
import threading
import uuid
import weakref
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import pydantic
import pytest

import letta_app_client as letta
from letta_app_client.testing import MockServer, script
from letta_app_client.tools import ToolContext, ToolSet, tool
from tests.helpers import message, start
from tests.tool_values import Colour, Pair, Range, Search, User, call, complaint_of, one

pytestmark = pytest.mark.anyio

CONVERTED: dict[str, tuple[Any, Any, Any]] = {
    "integer": (int, 5.0, 5),
    "number": (float, 5, 5.0),
    "enum": (Colour, "RED", Colour.RED),
    "datetime": (
        datetime,
        "2024-05-06T07:08:09Z",
        datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc),
    ),
    "date": (date, "2024-05-06", date(2024, 5, 6)),
    "time": (time, "07:08:09", time(7, 8, 9)),
    "uuid": (uuid.UUID, str(uuid.UUID(int=7)), uuid.UUID(int=7)),
    "path": (Path, "a/b", Path("a/b")),
    "bytes": (bytes, "aGk=", b"hi"),
    "set": (set[int], [1, 2, 1], {1, 2}),
    "frozenset": (frozenset[str], ["a"], frozenset("a")),
    "tuple": (tuple[int, ...], [1, 2], (1, 2)),
    "row": (tuple[str, date], ["a", "2024-05-06"], ("a", date(2024, 5, 6))),
    "mapping": (dict[str, Path], {"a": "b"}, {"a": Path("b")}),
    "union": (date | str, "2024-05-06", date(2024, 5, 6)),
    "union_in_order": (str | date, "2024-05-06", "2024-05-06"),
    "union_second": (date | str, "today", "today"),
    "dataclass": (
        Search,
        {"where": "x", "ranges": [{"first": 1}]},
        Search(Path("x"), [Range(1)]),
    ),
    "named_tuple": (Pair, {"key": "a", "value": 1}, Pair("a", 1.0)),
    "model": (
        User,
        {"name": "a", "born": "2024-05-06"},
        User(name="a", born=date(2024, 5, 6)),
    ),
    "annotated": (Annotated[Path | None, "A file"], "x", Path("x")),
    "literal": (Literal["a", 1], 1, 1),
    "digits": (Annotated[int, pydantic.Field(le=9)], 9, 9),
    "anything": (Any, {"a": [1]}, {"a": [1]}),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_arguments_become_what_the_hint_says(name: str) -> None:
    hint, given, expected = CONVERTED[name]

    def function(x: Any) -> None: ...

    function.__annotations__["x"] = hint
    loaded = tool(function).load({"x": given})
    assert loaded == {"x": expected}
    assert type(loaded["x"]) is type(expected)


def test_defaults_are_left_to_the_function() -> None:
    marker = object()

    @tool
    def function(a: int = 1, b: Any = marker) -> tuple[int, Any]:
        return a, b

    assert function.load({}) == {}
    assert function(**function.load({"a": 2})) == (2, marker)


BAD: dict[str, tuple[Any, Any, str]] = {
    "integer": (int, "ten", 'x: expected an integer, got "ten"'),
    "boolean": (int, True, "x: expected an integer, got true"),
    "text": (str, None, "x: expected text, got null"),
    "flag": (bool, 1, "x: expected true or false, got 1"),
    "choice": (Literal["a", "b"], "c", 'x: expected one of "a", "b", got "c"'),
    "enum": (Colour, "red", 'x: expected one of "RED", "CORNER", got "red"'),
    "date": (date, "soon", 'x: expected text (date), got "soon"'),
    "bytes": (bytes, "a", 'x: expected text (base64), got "a"'),
    "union": (int | list[str] | None, {}, "x: expected an integer or an array or null, got {}"),
    "optional": (list[int] | None, [1, "a"], 'x[1]: expected an integer, got "a"'),
    "mapping": (dict[str, int], {"a": "b"}, 'x.a: expected an integer, got "b"'),
    "row": (tuple[int, int], [1], "x: expected an array of 2, got [1]"),
    "set": (set[Any], [[1]], "x: expected an array of values without parts, got [[1]]"),
    "field": (
        Search,
        {"where": "a", "ranges": [{"first": 1}, {"first": "b"}]},
        'x.ranges[1].first: expected an integer, got "b"',
    ),
    "missing": (Range, {}, "x.first: expected an integer, but it is missing"),
    "unknown": (
        Range,
        {"first": 1, "step": 2},
        "x.step: there is no such field (there are: first, last)",
    ),
    "own_check": (
        Range,
        {"first": 1, "last": 0},
        'x: expected a valid Range (last is before first), got {"first": 1, "last": 0}',
    ),
    "no_object": (Range, [1], "x: expected an object, got [1]"),
    "class": (int | Range, "a", 'x: expected an integer or an object (Range), got "a"'),
    "model_missing": (User, {"name": "a"}, "x.born: it is missing"),
    "digits": (
        Annotated[int, pydantic.Field(le=9)],
        10,
        "x: Input should be less than or equal to 9, got 10",
    ),
    "long": (int, "y" * 500, 'x: expected an integer, got "' + "y" * 79 + "… (502 characters)"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_arguments_are_named(name: str) -> None:
    hint, given, line = BAD[name]
    called: list[Any] = []

    def function(x: Any) -> None:
        called.append(x)

    function.__annotations__["x"] = hint
    text = await complaint_of(function, {"x": given})
    assert text == f"invalid arguments for function:\n- {line}"
    assert called == []


def test_what_may_be_null_may_be_left_out() -> None:
    @letta.tool
    def look(name: str, line: int | None, anything: Any, rest: int | None = 7) -> None:
        """Looks."""

    assert look.parameters["required"] == ["name", "line", "anything"]
    assert look.definition["parameters"]["required"] == ["name", "anything"]
    assert look.load({"name": "a", "anything": 1}) == {"name": "a", "line": None, "anything": 1}
    given = {"name": "a", "line": 3, "anything": None, "rest": None}
    assert look.load(given) == given


async def test_all_bad_arguments_are_named_at_once() -> None:
    def function(a: int, b: str, c: int = 1) -> None: ...

    text = await complaint_of(function, {"a": "x", "c": None, "d": 1})
    assert text.splitlines() == [
        "invalid arguments for function:",
        '- a: expected an integer, got "x"',
        "- b: expected text, but it is missing",
        "- c: expected an integer, got null",
        "- d: there is no such field (there are: a, b, c)",
    ]
    others: tuple[Any, ...] = (None, [], "text")
    for other in others:
        text = await complaint_of(function, other)
        assert "- arguments: expected an object, got" in text


class LostError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LookupError("no such row"), "LookupError: no such row"),
        (LostError(), "LostError"),
        (ValueError("x" * 2000), "ValueError: " + "x" * 988 + "…"),
    ],
)
async def test_an_exception_is_an_error_result(
    error: Exception, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    def plain() -> None:
        raise error

    async def on_loop() -> None:
        await anyio.lowlevel.checkpoint()
        raise error

    for function in (plain, on_loop):
        caplog.clear()
        with caplog.at_level(logging.ERROR, "letta_app_client"):
            assert await complaint_of(function, {}) == text
        (record,) = caplog.records
        assert function.__name__ in record.getMessage()
        assert record.exc_info is not None
        assert record.exc_info[1] is error


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_a_thread_that_exits_is_an_error_result(kind: type[BaseException]) -> None:
    def function() -> None:
        raise kind("3")

    assert await complaint_of(function, {}) == f"{kind.__name__}: 3"


async def test_names_are_unique() -> None:
    def function() -> None: ...

    with pytest.raises(letta.InvalidOption, match="two have the name 'function'"):
        ToolSet([function, tool(function)])
    tools = ToolSet([function, tool(function, name="other")])
    assert len(tools) == 2
    assert "other" in tools
    assert tools["other"].name == "other"
    assert [one.name for one in tools] == ["function", "other"]
    assert repr(tools) == "ToolSet(['function', 'other'])"
    with pytest.raises(KeyError):
        tools["third"]


def test_what_is_registered() -> None:
    @tool(label="Look up")
    def lookup(q: str) -> str:
        """Find it."""
        return q

    definition = {
        "name": "lookup",
        "label": "Look up",
        "description": "Find it.",
        "parameters": {
            "type": "object",
            "properties": {"q": {"type": "string"}},
            "required": ["q"],
            "additionalProperties": False,
        },
    }
    assert ToolSet([lookup]).external_tools == [{"tools": [definition]}]
    assert ToolSet([lookup], "s").external_tools == [{"scope_id": "s", "tools": [definition]}]
    assert ToolSet().external_tools == [{"tools": []}]


async def test_a_tool_that_is_not_there() -> None:
    def function() -> None: ...

    answer = await one(function)(call("other", {}))
    assert answer["is_error"] is True
    assert answer["content"][0]["text"] == "there is no tool 'other' (there are: function)"


async def test_the_context_of_a_call() -> None:
    seen: list[ToolContext] = []

    def function(a: int, ctx: ToolContext | None = None) -> None:
        assert ctx is not None
        seen.append(ctx)

    runtime = {"agent_id": "a", "conversation_id": "c"}
    await one(function)(call("function", {"a": 1}, runtime=runtime))
    (context,) = seen
    assert (context.call_id, context.tool_name) == ("call-1", "function")
    assert context.runtime == runtime
    assert not context.cancelled.is_set()
    text = await complaint_of(function, {"a": 1, "ctx": {}})
    assert "- ctx: there is no such field (there are: a)" in text


def test_the_names_around_a_function_are_let_go() -> None:
    class Local:
        pass

    def make() -> Any:
        around = Local()
        kept.append(weakref.ref(around))

        @tool
        def function(a: list[Range]) -> None: ...

        return function

    kept: list[weakref.ref[Local]] = []
    made = make()
    gc.collect()
    assert kept[0]() is None
    assert made.load({"a": [{"first": 1}]}) == {"a": [Range(1)]}


def test_a_call_outside_of_a_loop() -> None:
    def function() -> None: ...

    with pytest.raises(letta.WrongLoop):
        one(function)(call("function", {})).send(None)


async def run_with(
    mock: MockServer, tools: ToolSet, errors: int = 0, **options: Any
) -> tuple[str | None, str | None]:
    """Lets the model call the tool; gives the status and the output of the call."""
    async with letta.connect(mock.url, **options) as client:
        client.on_external_tool_call(tools)
        runtime = await start(client, mode="unrestricted", external_tools=tools.external_tools)
        result = await client.run_turn(runtime=runtime, payload=message())
        (made,) = result.tool_calls
        assert client.stats.handler_errors == errors
        return made.status, made.output


@pytest.fixture
def mock_of(scripted: Callable[..., MockServer]) -> Callable[..., MockServer]:
    return lambda name, arguments: scripted(script.turn("done", tool_calls=[(name, arguments)]))


async def test_a_plain_tool_runs_in_a_thread(mock_of: Callable[..., MockServer]) -> None:
    threads: list[int] = []

    @tool
    def lookup(when: date, ctx: ToolContext) -> dict[str, Any]:
        threads.append(threading.get_ident())
        assert ctx.runtime is not None
        return {"next": when + timedelta(days=1), "agent": ctx.runtime.agent_id}

    mock = mock_of("lookup", {"when": "2024-05-06"})
    status, output = await run_with(mock, ToolSet([lookup]))
    assert (status, output) == ("success", '{"next":"2024-05-07","agent":"agent-1"}')
    assert threads != [threading.get_ident()]
    (started,) = [frame for frame in mock.received if frame.type == "runtime_start"]
    assert started.raw["external_tools"] == [{"tools": [lookup.definition]}]


async def test_a_tool_that_raises_is_counted(mock_of: Callable[..., MockServer]) -> None:
    def fails() -> str:
        raise LookupError("no table")

    async def fails_later() -> str:
        await anyio.lowlevel.checkpoint()
        raise LookupError("no table")

    async def no_json() -> object:
        return object()

    def says_so() -> dict[str, Any]:
        return {"content": [{"type": "text", "text": "no table"}], "is_error": True}

    def wants(_q: int) -> str:
        raise AssertionError("it is not called")

    for function, count in ((fails, 1), (fails_later, 1), (no_json, 1), (says_so, 0), (wants, 0)):
        mock = mock_of(function.__name__, {})
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a", tools=[function])
            (called,) = (await session.run("?")).tool_calls
            assert called.status == "error"
            assert client.stats.handler_errors == count, function


async def test_an_async_tool_runs_on_the_loop(mock_of: Callable[..., MockServer]) -> None:
    threads: list[int] = []

    async def lookup(q: str) -> str:
        await anyio.lowlevel.checkpoint()
        threads.append(threading.get_ident())
        return q * 2

    status, output = await run_with(mock_of("lookup", {"q": "x"}), ToolSet([lookup]))
    assert (status, output) == ("success", "xx")
    assert threads == [threading.get_ident()]


async def test_what_a_plain_tool_returns_is_awaited_on_the_loop(
    mock_of: Callable[..., MockServer],
) -> None:
    async def later(q: str) -> str:
        await anyio.lowlevel.checkpoint()
        return f"{q} {threading.get_ident()}"

    def lookup(q: str) -> Any:
        return later(q)

    status, output = await run_with(mock_of("lookup", {"q": "x"}), ToolSet([lookup]))
    assert (status, output) == ("success", f"x {threading.get_ident()}")


async def test_bad_arguments_over_a_server(mock_of: Callable[..., MockServer]) -> None:
    def lookup(q: int) -> str:
        return str(q)

    status, output = await run_with(mock_of("lookup", {"q": "x"}), ToolSet([lookup]))
    assert status == "error"
    assert 'q: expected an integer, got "x"' in (output or "")


async def test_an_exception_over_a_server(
    mock_of: Callable[..., MockServer], caplog: pytest.LogCaptureFixture
) -> None:
    def lookup() -> str:
        raise LookupError("no such row")

    status, output = await run_with(mock_of("lookup", {}), ToolSet([lookup]), errors=1)
    assert status == "error"
    assert output is not None
    assert "LookupError: no such row" in output
    assert "Traceback" not in output
    assert "Traceback" in caplog.text


async def test_an_abort_tells_a_thread(mock_of: Callable[..., MockServer]) -> None:
    mock = mock_of("lookup", {})
    running, ended = threading.Event(), threading.Event()

    async def wait(event: threading.Event) -> None:
        assert await anyio.to_thread.run_sync(event.wait, 10)

    def lookup(ctx: ToolContext) -> Any:
        running.set()
        assert ctx.cancelled.wait(10)
        ended.set()
        # What a thread leaves behind is closed, not run: without a warning, too.
        return anyio.lowlevel.checkpoint()

    async with letta.connect(mock.url) as client:
        tools = ToolSet([lookup])
        client.on_external_tool_call(tools)
        runtime = await start(client, mode="unrestricted", external_tools=tools.external_tools)
        turn = client.send_turn(runtime=runtime, payload=message())
        await wait(running)
        assert (await turn.abort()).status == "aborted"
        await wait(ended)


async def test_the_time_limit_tells_a_thread_and_cancels_a_coroutine(
    mock_of: Callable[..., MockServer],
) -> None:
    contexts: list[ToolContext] = []

    async def on_loop(ctx: ToolContext) -> None:
        contexts.append(ctx)
        await anyio.sleep_forever()

    def in_thread(ctx: ToolContext) -> None:
        contexts.append(ctx)
        assert ctx.cancelled.wait(10)

    for function in (on_loop, in_thread):
        mock = mock_of(function.__name__, {})
        status, output = await run_with(mock, ToolSet([function]), external_tool_timeout=0.05)
        assert status == "error"
        assert "did not answer within 0.05 s" in (output or "")
        assert await anyio.to_thread.run_sync(contexts[-1].cancelled.wait, 10)
    assert len(contexts) == 2


async def test_threads_run_side_by_side(scripted: Callable[..., MockServer]) -> None:
    barrier = threading.Barrier(2)

    def lookup(n: int) -> str:
        barrier.wait(10)
        return str(n)

    calls = [("lookup", {"n": 1}), ("lookup", {"n": 2})]
    mock = scripted(script.turn("done", tool_calls=calls))
    tools = ToolSet([lookup])
    async with letta.connect(mock.url) as client:
        client.on_external_tool_call(tools)
        results: list[letta.TurnResult] = []

        async def run() -> None:
            runtime = await start(client, mode="unrestricted", external_tools=tools.external_tools)
            results.append(await client.run_turn(runtime=runtime, payload=message()))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(run)
                group.start_soon(run)
    assert len(results) == 2
    for result in results:
        assert [made.output for made in result.tool_calls] == ["1", "2"]
