"""Turns that come to an object of a type."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, TypedDict

import anyio
import jsonschema
import pydantic
import pytest

import letta_app_client as letta
from letta_app_client._output import Output
from letta_app_client._shape import BadValue
from letta_app_client.testing import MockServer, script

pytestmark = pytest.mark.anyio


class Level(Enum):
    LOW = "low"
    HIGH = "high"


@dataclass
class Finding:
    """A bug.

    Attributes:
        line: Where it is.
    """

    file: str
    line: int
    level: Level = Level.LOW


class Place(TypedDict):
    file: str
    line: int


class Model(pydantic.BaseModel):
    file: str
    line: int = pydantic.Field(gt=0)


@dataclass
class Checked:
    file: str
    line: int

    def __post_init__(self) -> None:
        if self.line < 1:
            raise ValueError("no such line")


@dataclass
class Tree:
    name: str
    parts: list[Tree]


@dataclass
class Maybe:
    name: str
    line: int | None


GOOD = {"file": "a.py", "line": 3}


def submit(*arguments: dict[str, Any], text: str = "Done.", **more: Any) -> dict[str, Any]:
    """A turn that hands in these results."""
    calls = [script.call("submit_result", given, **more) for given in arguments]
    return script.turn(text, tool_calls=calls)


def inputs(mock: MockServer) -> list[Any]:
    """The prompts; answers to permissions are inputs too."""
    payloads = [frame.raw["payload"] for frame in mock.received if frame.type == "input"]
    return [payload for payload in payloads if payload["kind"] == "create_message"]


def updates(mock: MockServer) -> list[list[str]]:
    """The names of the tools that were registered, update by update."""
    found = []
    for frame in mock.received:
        if frame.type == "runtime_external_tools_update":
            (update,) = frame.raw["updates"]
            groups = update["external_tools"]
            found.append([tool["name"] for group in groups for tool in group["tools"]])
    return found


def answers(mock: MockServer) -> list[tuple[bool, str]]:
    results = [
        frame.raw["result"]
        for frame in mock.received
        if frame.type == "external_tool_call_response"
    ]
    return [(one["is_error"], one["content"][0]["text"]) for one in results]


def schema(mock: MockServer) -> Any:
    """The parameters of the tool."""
    frame = next(it for it in mock.received if it.type == "runtime_external_tools_update")
    return frame.raw["updates"][0]["external_tools"][-1]["tools"][0]["parameters"]


async def run(mock: MockServer, kind: Any, **settings: Any) -> Any:
    with anyio.fail_after(20):
        async with (
            letta.connect(mock.url, settle_pause=0) as client,
            client.session(agent_id="a") as session,
        ):
            result = await session.run("Find it", output_type=kind, **settings)
            # What is sent without waiting has arrived when the answer to a later request has.
            await client.info()
            return result


@pytest.mark.parametrize(
    ("kind", "arguments", "expected"),
    [
        (Finding, GOOD, Finding("a.py", 3)),
        (Finding, {**GOOD, "level": "high"}, Finding("a.py", 3, Level.HIGH)),
        (Place, GOOD, {"file": "a.py", "line": 3}),
        (Model, GOOD, Model(file="a.py", line=3)),
        (list[Finding], {"result": [GOOD, GOOD]}, [Finding("a.py", 3)] * 2),
        (list[Model], {"result": [GOOD]}, [Model(file="a.py", line=3)]),
        (int, {"result": 7}, 7),
        (int | None, {"result": None}, None),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Tree, {"name": "a", "parts": [{"name": "b", "parts": []}]}, Tree("a", [Tree("b", [])])),
    ],
)
async def test_the_agent_hands_in_an_object(
    scripted: Callable[..., MockServer], kind: Any, arguments: dict[str, Any], expected: Any
) -> None:
    mock = scripted(submit(arguments))
    result = await run(mock, kind)
    assert result.output == expected
    assert type(result.output) is type(expected)
    assert (result.text, result.status) == ("Done.", "completed")
    assert schema(mock)["type"] == "object"
    # There as long as it is wanted, in the turn that wants it.
    assert updates(mock) == [["submit_result"], []]
    (asked,) = inputs(mock)
    assert len(asked["external_tool_scope_ids"]) == 1
    first, note = asked["messages"][0]["content"]
    assert first == {"type": "text", "text": "Find it"}
    assert "submit_result" in note["text"]
    assert answers(mock) == [(False, "The result was accepted.")]


async def test_the_arguments_are_the_fields_of_the_type(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(submit(GOOD))
    await run(mock, Finding)
    parameters = schema(mock)
    assert list(parameters["properties"]) == ["file", "line", "level"]
    assert parameters["properties"]["line"] == {"type": "integer", "description": "Where it is."}
    assert (parameters["required"], parameters["description"]) == (["file", "line"], "A bug.")
    assert "$defs" not in parameters
    assert jsonschema.Draft202012Validator(parameters).is_valid(GOOD)


async def test_what_has_no_fields_gets_one(scripted: Callable[..., MockServer]) -> None:
    given = {"result": [{"name": "a", "parts": []}]}
    mock = scripted(submit(given))
    await run(mock, list[Tree])
    parameters = schema(mock)
    assert list(parameters["properties"]) == parameters["required"] == ["result"]
    assert list(parameters["$defs"]["Tree"]["properties"]) == ["name", "parts"]
    validator = jsonschema.Draft202012Validator(parameters)
    assert validator.is_valid(given)
    assert not validator.is_valid({"result": [{"name": "a"}]})


async def test_arguments_that_do_not_fit_go_back_to_the_agent(
    scripted: Callable[..., MockServer],
) -> None:
    wrong = {"file": 1, "line": "x", "rest": True}
    mock = scripted(submit(wrong, GOOD))
    assert (await run(mock, Finding)).output == Finding("a.py", 3)
    (refused, text), taken = answers(mock)
    assert refused
    assert "- file: expected text, got 1\n- line: expected an integer" in text
    assert "- rest: there is no such field" in text
    assert taken == (False, "The result was accepted.")
    assert len(inputs(mock)) == 1


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        (Model, {"file": "a", "line": 0}, "- line: "),
        (
            Checked,
            {"file": "a", "line": 0},
            "- result: expected a valid Checked (no such line)",
        ),
        (list[Finding], {"result": [{"file": "a"}]}, "- result[0].line: expected an integer"),
        (list[Model], {"result": [{"file": "a"}]}, "- result[0].line: it is missing"),
        (int, {"result": "x"}, '- result: expected an integer, got "x"'),
    ],
)
async def test_what_is_wrong_begins_with_its_field(
    scripted: Callable[..., MockServer], kind: Any, arguments: dict[str, Any], words: str
) -> None:
    good: dict[str, Any] = GOOD
    if "result" in words and kind is not Checked:
        good = {"result": 3 if kind is int else [GOOD]}
    mock = scripted(submit(arguments, good))
    await run(mock, kind)
    assert words in answers(mock)[0][1]


async def test_a_type_decides_itself_what_it_takes(scripted: Callable[..., MockServer]) -> None:
    # pydantic makes a number of the text, which its schema alone would not take.
    mock = scripted(submit({**GOOD, "line": "4"}))
    assert (await run(mock, Model)).output == Model(file="a.py", line=4)
    ((refused, _),) = answers(mock)
    assert not refused


async def test_what_an_earlier_turn_hands_in_is_not_taken(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(script.turn("on and on", hang=True))
    async with letta.connect(mock.url) as client:
        session = await client.session(agent_id="a")

        async def late() -> None:
            await anyio.to_thread.run_sync(lambda: mock.wait_received("input"))
            call = {
                "type": "external_tool_call_request",
                "request_id": "late",
                "scope_id": "an earlier one",
                "runtime": session.runtime,
                "tool_call_id": "call-1",
                "tool_name": "submit_result",
                "input": GOOD,
            }
            mock.push(call)
            await anyio.to_thread.run_sync(
                lambda: mock.wait_received("external_tool_call_response")
            )
            await session.close()

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(late)
                with pytest.raises(letta.TurnAborted):
                    await session.run("?", output_type=Finding)
    assert answers(mock) == [(True, "nobody is waiting for the result any more")]


async def test_what_the_server_refuses_by_itself_is_told(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(submit({"line": 3}), submit({"line": 3}))
    with pytest.raises(letta.StructuredOutputError) as caught:
        await run(mock, Finding)
    refusal = "submit_result tool missing required parameter: file. Received parameters: line"
    assert caught.value.errors == (refusal,)
    assert str(caught.value).startswith(f"the result was refused: {refusal}")
    said = inputs(mock)[1]["messages"][0]["content"]
    assert said.startswith(f"The result you submitted was refused: {refusal}")
    assert answers(mock) == []


@pytest.mark.parametrize("given", [{"name": "a", "line": None}, {"name": "a"}])
async def test_what_may_be_null_may_be_left_out(
    scripted: Callable[..., MockServer], given: dict[str, Any]
) -> None:
    mock = scripted(submit(given))
    assert (await run(mock, Maybe)).output == Maybe(name="a", line=None)
    assert schema(mock)["required"] == ["name"]


async def test_the_last_of_several_results_counts(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(submit(GOOD, {**GOOD, "line": 4}, {"line": 5}))
    assert (await run(mock, Finding)).output.line == 4


async def test_who_hands_nothing_in_is_asked_once_more(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(script.turn("It is in a.py."), submit(GOOD, text="There."))
    result = await run(mock, Finding)
    assert (result.output, result.text) == (Finding("a.py", 3), "There.")
    # A run without a tool call, and one with the call and what came after it.
    assert result.usage.total_tokens == sum(12 for _ in ("asked", "called", "answered"))
    _, repair = inputs(mock)
    assert "not submitted a result" in str(repair["messages"])
    assert "submit_result" in str(repair["messages"])


@pytest.mark.parametrize("second", [{"error": "no credits"}, {"hang": True}])
async def test_the_first_turn_counts_when_the_second_fails(
    scripted: Callable[..., MockServer], second: dict[str, Any]
) -> None:
    turns = [script.turn("No.", usage=(1000, 200)), script.turn("x", usage=(10, 2), **second)]
    async with letta.connect(scripted(*turns).url, settle_pause=0) as client:
        batch = await letta.map(client, ["?"], agents="a", output_type=Finding, timeout=1)
    assert isinstance(batch[0].error, letta.TurnError)
    # What hangs has not said yet what it used.
    assert batch.usage.total_tokens == (1212 if "error" in second else 1200)


async def test_and_then_it_is_an_error(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("No."), submit({"file": 3, "line": 3}, text="Still no."))
    with pytest.raises(letta.StructuredOutputError, match="file: ") as caught:
        await run(mock, Finding)
    error = caught.value
    assert error.errors == ("file: expected text, got 3",)
    assert error.text == "Still no."
    assert error.result is not None
    assert error.result.status == "completed"
    assert error.result.usage.total_tokens > 12
    assert len(inputs(mock)) == 2
    silent = scripted(script.turn("No."))
    with pytest.raises(letta.StructuredOutputError) as nothing:
        await run(silent, Finding)
    assert (nothing.value.errors, nothing.value.text) == ((), "No.")


async def test_nobody_is_asked_for_permission(scripted: Callable[..., MockServer]) -> None:
    asked: list[str] = []

    async def ask(request: letta.ApprovalRequest) -> letta.Decision:
        asked.append(request.tool_name)
        return letta.deny("no")

    calls = [
        script.call("Bash", needs_approval=True),
        script.call("submit_result", GOOD, needs_approval=True),
    ]
    for approvals in ("deny", ask):
        mock = scripted(script.turn(tool_calls=calls))
        result = await run(mock, Finding, approvals=approvals)
        assert [call.status for call in result.tool_calls] == ["error", "success"]
    assert asked == ["Bash"]


async def test_a_turn_that_fails_is_no_reason_to_ask_again(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(script.turn("half", error="no credits"))
    with pytest.raises(letta.TurnFailed, match="no credits"):
        await run(mock, Finding)
    assert len(inputs(mock)) == 1


async def test_the_tools_of_the_session_stay(scripted: Callable[..., MockServer]) -> None:
    def lookup() -> str:
        """Look it up."""
        return "found"

    turns = [
        script.turn(tool_calls=[script.call("lookup"), script.call("submit_result", GOOD)]),
        script.turn(tool_calls=[script.call("lookup"), script.call("submit_result", GOOD)]),
    ]
    mock = scripted(*turns)
    other = {"name": "other", "description": "", "parameters": {"type": "object"}}
    async with letta.connect(mock.url, settle_pause=0) as client:
        fields = {"external_tools": [{"tools": [other]}]}
        session = await client.session(agent_id="a", tools=[lookup], fields=fields)
        first = await session.run("?", output_type=Finding)
        assert [call.output for call in first.tool_calls] == ["found", "The result was accepted."]
        second = await session.run("?")
        # Nobody here has a tool of that name any more: it is the server's.
        assert [call.output for call in second.tool_calls] == ["found", "ok"]
    assert updates(mock) == [["other", "lookup", "submit_result"], ["other", "lookup"]]


async def test_several_in_one_conversation_do_not_mix(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(submit(GOOD), submit({"result": 7}), submit({"result": "x"}))
    results: dict[str, Any] = {}
    async with letta.connect(mock.url, settle_pause=0) as client:
        ids: dict[str, Any] = {"agent_id": "a", "conversation_id": "c"}
        session = await client.session(**ids)
        other = await client.session(**ids)

        async def ask(name: str, kind: Any, through: letta.Session) -> None:
            results[name] = (await through.run(name, output_type=kind)).output

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for name, kind, through in (
                    ("one", Finding, session),
                    ("two", int, other),
                    ("three", str, session),
                ):
                    tasks.start_soon(ask, name, kind, through)
                    await anyio.lowlevel.checkpoint()
    assert sorted(map(repr, results.values())) == sorted(map(repr, (Finding("a.py", 3), 7, "x")))
    assert results == {"one": Finding("a.py", 3), "two": 7, "three": "x"}


async def test_cancelling_stops_it_and_takes_the_tool_back(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(script.turn("on and on", hang=True), submit({"result": 7}))
    async with letta.connect(mock.url, settle_pause=0) as client:
        session = await client.session(agent_id="a")
        outputs = []

        async def second() -> None:
            outputs.append((await session.run("2", output_type=int)).output)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                with anyio.CancelScope() as scope:

                    async def cancel() -> None:
                        await anyio.to_thread.run_sync(lambda: mock.wait_received("input"))
                        tasks.start_soon(second)
                        await anyio.lowlevel.checkpoint()
                        scope.cancel()

                    tasks.start_soon(cancel)
                    await session.run("1", output_type=Finding)
                assert scope.cancelled_caught
            await client.info()
        assert outputs == [7]
    mock.assert_received("abort_message", times=1)
    assert updates(mock) == [["submit_result"], [], ["submit_result"], []]


async def test_one_that_waits_for_another_can_be_cancelled(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(script.turn("on and on", hang=True), submit({"result": 7}))
    async with letta.connect(mock.url, settle_pause=0) as client:
        session = await client.session(agent_id="a")

        async def first() -> None:
            with pytest.raises(letta.TurnAborted):
                await session.run("1", output_type=int)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(first)
                await anyio.to_thread.run_sync(lambda: mock.wait_received("input"))
                with anyio.move_on_after(0.05) as waited:
                    await session.run("2", output_type=int)
                assert waited.cancelled_caught
                assert len(inputs(mock)) == 1
                await session.close()
            assert (await session.run("3", output_type=int)).output == 7


async def test_what_is_no_output_type_is_refused_before_anything_is_sent(
    mock: MockServer,
) -> None:
    async with letta.connect(mock.url) as client:
        session = await client.session(agent_id="a")
        with pytest.raises(TypeError, match=r"^output_type: "):
            await session.run("?", output_type=complex)
        wanted = "^output_type: expected a type such as a dataclass or list\\[int\\], got "
        given: list[tuple[Any, str]] = [
            ({"type": "object"}, "dict$"),
            ([Finding], r"list; did you mean list\[Finding\]\?$"),
            ([list[int]], r"list; did you mean list\[list\[int\]\]\?$"),
            ([1], "list$"),
            ((Finding, int), "tuple$"),
            (Finding("a", 1), "Finding$"),
            ("Finding", "str$"),
            (lambda: 1, "function$"),
            (json, "module$"),
        ]
        for kind, got in given:
            with pytest.raises(TypeError, match=wanted + got):
                await session.run("?", output_type=kind)
        with pytest.raises(letta.InvalidOption, match=r"^check: "):
            await session.run("?", output_type=int, check=False)  # type: ignore[call-overload]
    assert inputs(mock) == []


async def test_a_tool_of_that_name_is_in_the_way(scripted: Callable[..., MockServer]) -> None:
    def submit_result() -> str:
        return "own"

    mock = scripted(submit({}))
    async with letta.connect(mock.url) as client:
        session = await client.session(agent_id="a", tools=[submit_result])
        with pytest.raises(letta.InvalidOption, match=r"^output_type: .*submit_result"):
            await session.run("?", output_type=int)
        assert inputs(mock) == []
        assert (await session.run("?")).tool_calls[0].output == "own"


async def test_a_server_that_is_too_old_to_change_tools_starts_the_conversation_again(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(submit({"result": 7}), generation="split")
    async with letta.connect(mock.url) as client:
        session = await client.session(agent_id="agent-1")
        assert (await session.run("?", output_type=int)).output == 7
        await client.conversation_list()
    starts = [frame.raw for frame in mock.received if frame.type == "runtime_start"]
    start, offer, back = starts
    assert start["mode"] == "standard"
    assert offer["external_tools"][0]["tools"][0]["name"] == "submit_result"
    assert (back["external_tools"], back["conversation_id"]) == ([], offer["conversation_id"])


async def test_tools_that_are_no_dicts_stay_registered(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(submit({"result": 7}))
    own = {"name": "own", "description": "A tool.", "parameters": {"type": "object"}}
    group = MappingProxyType({"tools": [MappingProxyType(own)]})
    async with letta.connect(mock.url) as client:
        session = await client.session(agent_id="a", fields={"external_tools": [group]})
        assert (await session.run("?", output_type=int)).output == 7
        await client.conversation_list()
    assert updates(mock) == [["own", "submit_result"], ["own"]]


def test_a_key_that_is_not_one_of_them_is_named() -> None:
    given = Output(dict[Level, int])
    assert given.load({"low": 1}) == {Level.LOW: 1}
    with pytest.raises(BadValue) as raised:
        given.load({"none": 1})
    assert raised.value.problems == ('a key: expected one of "low", "high", got "none"',)


async def test_local_types_that_name_each_other(scripted: Callable[..., MockServer]) -> None:
    @dataclass
    class Inner:
        number: int

    @dataclass
    class Outer:
        inner: Inner

    mock = scripted(submit({"inner": {"number": 3}}))
    async with letta.connect(mock.url) as client:
        session = await client.session(agent_id="a")
        result = await session.run("?", output_type=Outer)
    assert result.output == Outer(Inner(3))


async def test_a_result_is_plain_data_when_wanted(scripted: Callable[..., MockServer]) -> None:
    result = await run(scripted(submit({**GOOD, "level": "high"})), Finding)
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["output"] == {**GOOD, "level": "high"}
    again = letta.StructuredResult.from_raw(plain)
    assert again.text == result.text
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.output = None


async def test_tools_that_a_turn_allows_run_unasked(scripted: Callable[..., MockServer]) -> None:
    calls = [script.call(name, needs_approval=True) for name in ("Read", "Bash")]
    mock = scripted(script.turn(tool_calls=calls))
    async with letta.connect(mock.url, settle_pause=0) as client:
        session = await client.session(agent_id="a", allow=["Read"])
        result = await session.run("?")
        assert [call.status for call in result.tool_calls] == ["success", "error"]
        result = await session.send("?", allow=["Bash"])
        assert [call.status for call in result.tool_calls] == ["error", "success"]
        unusable: tuple[Any, ...] = ("Read", 3, [3])
        for allow in unusable:
            with pytest.raises(letta.InvalidOption, match=r"^allow: "):
                await session.run("?", allow=allow)


async def test_a_prompt_that_is_no_unicode_is_refused_before_the_tool_is_there(
    mock: MockServer,
) -> None:
    async with letta.connect(mock.url) as client:
        session = await client.session(agent_id="a")
        with pytest.raises(letta.InvalidCommand, match=r"^field `prompt`: .* surrogate"):
            await session.run("\ud800", output_type=int)
        await client.info()
    mock.assert_received("runtime_external_tools_update", times=0)
