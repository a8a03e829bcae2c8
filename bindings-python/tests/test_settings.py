"""The settings of turns: misspelt or unusable ones are found before anything is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import letta_app_client as letta
from letta_app_client import sync
from letta_app_client._settings import _CHECKS
from letta_app_client.session import TurnSettings
from letta_app_client.testing import MockServer, script

pytestmark = pytest.mark.anyio


async def count(stream: AsyncIterator[object]) -> int:
    """How much comes, unless it raises."""
    return len([piece async for piece in stream])


FAILING = script.turn("half", error="no credits")

WRONG: dict[str, Any] = {
    "timeout": "5",
    "idle_timeout": 0,
    "tool_timeout": True,
    "approval_timeout": -1,
    "abort_grace": "2",
    "accept_timeout": [],
    "recover_timeout": -1,
    "resend": "always",
    "approvals": "ask",
    "allow": "Bash",
}


def test_each_has_its_check() -> None:
    assert _CHECKS.keys() == TurnSettings.__annotations__.keys() == WRONG.keys()


async def test_a_misspelt_one_names_the_method_and_what_was_meant(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        session = await client.session(agent_id="a")
        before = len(mock.received)
        calls: dict[str, Any] = {
            "AppServerClient.session": lambda **given: client.session(agent_id="a", **given),
            "Session.run": lambda **given: session.run("?", **given),
            "Session.send": lambda **given: session.send("?", **given),
            "Session.stream": lambda **given: session.stream("?", **given),
            "Session.stream_text": lambda **given: session.stream_text("?", **given),
            "map": lambda **given: letta.map(client, ["?"] * 3, agents="a", **given),
        }
        misspelt = {"timout": "timeout", "aprovals": "approvals", "chek": "check"}
        for method, call in calls.items():
            for name, meant in misspelt.items():
                with pytest.raises(TypeError) as caught:
                    await call(**{name: 5})
                assert str(caught.value) == (
                    f"{method}() got an unexpected keyword argument {name!r}. "
                    f"Did you mean {meant!r}?"
                )
            with pytest.raises(TypeError, match=r"argument 'xyzzy'$"):
                await call(xyzzy=5)
        with pytest.raises(TypeError, match=r"only Session\.run\(\) and map\(\) wait for such"):
            session.send("?", output_type=int)  # type: ignore[call-arg]
        for name in ("outputSchema", "output_schema", "output", "schema", "response_format"):
            for method in ("Session.run", "map"):
                with pytest.raises(TypeError, match=r"Did you mean 'output_type'\?$"):
                    await calls[method](**{name: {}})
        await client.info()
        assert [frame.type for frame in mock.received[before:]] == ["app_server_info"]


def test_without_an_event_loop_too(mock: MockServer) -> None:
    wrong: Any = {"timout": 5}
    with sync.connect(mock.url) as client:
        with pytest.raises(
            TypeError, match=r"^map\(\) got an unexpected .* Did you mean 'timeout'"
        ):
            sync.map(client, ["?"], agents="a", **wrong)
        with pytest.raises(TypeError, match=r"^AppServerClient\.session\(\) got an unexpected"):
            client.session(agent_id="a", **wrong)
        client.info()
    mock.assert_received("runtime_start", times=0)


@pytest.mark.parametrize("name", WRONG)
async def test_a_value_that_is_not_usable_leaves_no_conversation(
    mock: MockServer, name: str
) -> None:
    wrong = {name: WRONG[name]}
    async with letta.connect(mock.url) as client:
        with pytest.raises(letta.InvalidOption, match=f"^{name}: expected "):
            client.session(agent_id="a", **wrong)
        several: list[dict[str, Any]] = [{}, {"output_type": int}]
        for more in several:
            with pytest.raises(letta.InvalidOption, match=f"^{name}: expected "):
                await letta.map(client, ["?"] * 3, agents="a", **wrong, **more)
        await client.info()
        mock.assert_received("runtime_start", times=0)
        session = await client.session(agent_id="a")
        # Nor a tool for a result that nobody will wait for.
        with pytest.raises(letta.InvalidOption, match=f"^{name}: expected "):
            await session.run("?", output_type=int, **wrong)
        await client.info()
    mock.assert_received("runtime_external_tools_update", times=0)
    mock.assert_received("input", times=0)


async def test_names_from_a_generator_count_for_the_turn() -> None:
    asking = script.turn("done", tool_calls=[script.call("Write", needs_approval=True)])
    with MockServer([asking]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a")
            result = await session.run("?", allow=(name for name in ["Write"]))
            assert [call.status for call in result.tool_calls] == ["success"]


async def test_a_sent_turn_raises_where_that_is_wanted() -> None:
    with MockServer([FAILING]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a")
            assert (await session.send("?")).status == "failed"
            with pytest.raises(letta.TurnFailed, match="no credits") as failed:
                await session.send("?", check=True)
            assert failed.value.result is not None
            assert failed.value.result.text == "half"
            for stream in (session.stream("?", check=True), session.stream_text("?", check=True)):
                with pytest.raises(letta.TurnFailed, match="no credits"):
                    await count(stream)
            wrong: Any = {"check": "no"}
            for call in (session.send, session.stream, session.stream_text):
                with pytest.raises(letta.InvalidOption, match=r"^check: expected True or False"):
                    call("?", **wrong)


async def test_a_session_says_it_for_its_turns() -> None:
    with MockServer([FAILING]) as mock:
        async with letta.connect(mock.url) as client:
            with pytest.raises(letta.InvalidOption, match=r"^check: expected True or False"):
                client.session(agent_id="a", check="no")  # type: ignore[arg-type]
            lenient = await client.session(agent_id="a", check=False)
            assert (await lenient.run("?")).status == "failed"
            assert (await (await lenient.fork()).run("?")).status == "failed"
            with pytest.raises(letta.TurnFailed):
                await lenient.run("?", check=True)
            strict = await client.session(agent_id="a", check=True)
            with pytest.raises(letta.TurnFailed):
                await strict.send("?")
            assert (await strict.send("?", check=False)).status == "failed"


async def test_a_result_of_a_type_is_there_or_raises_whatever_the_session_says() -> None:
    with MockServer([script.turn("nothing")]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a", check=False)
            with pytest.raises(letta.StructuredOutputError):
                await session.run("?", output_type=int)
            with pytest.raises(
                letta.InvalidOption, match=r"^check: cannot be turned off with output_type"
            ):
                await session.run("?", output_type=int, check=False)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("reconect", "reconnect"),
        ("tokn", "token"),
        ("timeout", "request_timeout"),
        ("bogus", None),
    ],
)
def test_a_misspelt_option_of_a_client_is_said_of_what_was_called(
    name: str, near: str | None
) -> None:
    given: dict[str, Any] = {name: 5}
    calls: dict[str, Callable[[], object]] = {
        "connect": lambda: letta.connect("ws://127.0.0.1:1", **given),
        "create_app_server_client": lambda: letta.create_app_server_client(
            url="ws://127.0.0.1:1", **given
        ),
    }
    for method, call in calls.items():
        text = f"{method}() got an unexpected keyword argument {name!r}"
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == (text if near is None else f"{text}. Did you mean {near!r}?")
    with pytest.raises(TypeError, match=r"^create_app_server_client\(\) needs a url, or options"):
        letta.create_app_server_client()  # type: ignore[call-overload]


@pytest.mark.parametrize("tools", [5, "count", print])
async def test_tools_that_are_not_several(mock: MockServer, tools: Any) -> None:
    async with letta.connect(mock.url) as client:
        with pytest.raises(letta.InvalidOption, match=r"^tools: expected several functions, got"):
            client.session(agent_id="a", tools=tools)


async def test_no_tools_can_be_said_with_none(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        async with client.session(agent_id="a", tools=None) as session:
            assert session.agent_id == "a"
        batch = await letta.map(client, ["x"], agents=["a"], tools=None)
        assert len(batch.results) == 1
    assert not any("external_tools" in frame for frame in mock.received)
