"""Objects as answers and many prompts: the real server offers the tool, and forgets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from tests.live.support import call, connected

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(120),
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
]


@dataclass
class Finding:
    file: str
    line: int


@dataclass
class Sought:
    file: str
    line: int | None


def weather() -> str:
    """The weather."""
    return "sunny"


def opening(client: letta.AppServerClient, live: dict[str, Any]) -> letta.Opening:
    agent = {"body": {"name": "reviewer", "model": live["model"]}, "pin_global": False}
    return client.session(create_agent=agent, cwd=live["cwd"], tools=[weather])


def outcomes(result: letta.TurnResult) -> list[tuple[str, str | None]]:
    return [(one.name, one.status) for one in result.tool_calls]


async def test_an_object_is_handed_in_beside_the_tools_of_the_session(
    live: dict[str, Any],
) -> None:
    good = call("submit_result", file="a.py", line=7)
    wrong = call("submit_result", file="a.py", line="7")
    async with connected(live) as client, opening(client, live) as session:
        prompt = f"{wrong} {good} {call('weather')} N=2"
        result = await session.run(prompt, output_type=Finding)
        assert (result.output, result.text) == (Finding("a.py", 7), "tok0 tok1 ")
        assert outcomes(result) == [
            ("submit_result", "error"),
            ("submit_result", "success"),
            ("weather", "success"),
        ]
        assert "- line: expected an integer" in (result.tool_calls[0].output or "")
        # It is gone again, and the other one is not.
        after = await session.run(f"{good} {call('weather')} N=1")
        assert outcomes(after) == [("submit_result", "error"), ("weather", "success")]


async def test_who_hands_nothing_in_is_asked_once_more(live: dict[str, Any]) -> None:
    async with connected(live) as client, opening(client, live) as session:
        with pytest.raises(letta.StructuredOutputError) as caught:
            await session.run("N=2", output_type=Finding)
        assert caught.value.errors == ()
        assert caught.value.result is not None
        assert caught.value.result.status == "completed"
        assert session.usage.total_tokens == caught.value.result.usage.total_tokens > 0


async def test_a_field_that_may_be_none_is_none_or_left_out(live: dict[str, Any]) -> None:
    async with connected(live) as client, opening(client, live) as session:
        for given in ({"file": "a.py", "line": None}, {"file": "a.py"}):
            result = await session.run(f"{call('submit_result', **given)} N=1", output_type=Sought)
            assert result.output == Sought("a.py", None)
            assert outcomes(result) == [("submit_result", "success")]


async def test_a_result_that_the_server_refuses_is_told(live: dict[str, Any]) -> None:
    sent: list[Any] = []
    async with connected(live) as client, opening(client, live) as session:
        client.on_send(lambda command: sent.append(command.get("payload")))
        lacking = f"{call('submit_result', line=7)} N=1"
        with pytest.raises(letta.StructuredOutputError) as caught:
            await session.run(lacking, output_type=Finding)
    # The model submits nothing in answer to the repair.
    (repair,) = [one["messages"][0]["content"] for one in sent if one and "messages" in one][1:]
    refusal = "submit_result tool missing required parameter: file. Received parameters: line"
    assert repair.startswith(f"The result you submitted was refused: {refusal}")
    assert caught.value.errors == (refusal,)


async def test_a_result_that_does_not_fit_is_told_as_its_fields(live: dict[str, Any]) -> None:
    async with connected(live) as client, opening(client, live) as session:
        misfit = f"{call('submit_result', file='a.py', line='7')} N=1"
        with pytest.raises(letta.StructuredOutputError) as caught:
            await session.run(misfit, output_type=Finding)
    assert caught.value.errors == ('line: expected an integer, got "7"',)


async def test_an_object_is_asked_for_while_other_inputs_run_and_wait(live: dict[str, Any]) -> None:
    good = call("submit_result", file="a.py", line=7)
    async with connected(live) as client, opening(client, live) as session:
        running = session.send(f"{call('weather')} SLEEP=100 N=10")
        events = aiter(running)
        assert await anext(events)
        waiting = session.send("N=1")
        result = await session.run(f"{good} N=2", output_type=Finding)
        assert (result.output, result.text) == (Finding("a.py", 7), "tok0 tok1 ")
        assert outcomes(result) == [("submit_result", "success")]
        assert [(await turn).status for turn in (running, waiting)] == ["completed"] * 2


async def test_many_prompts_over_two_agents(live: dict[str, Any]) -> None:
    prompts = [call("submit_result", file="a.py", line=line) for line in range(5)]
    async with (
        connected(live) as client,
        opening(client, live) as first,
        opening(client, live) as second,
    ):
        agents = [first.agent_id, second.agent_id]
        with anyio.fail_after(90):
            batch = await letta.map(client, prompts, agents=agents, limit=3, output_type=Finding)
        assert [one.output.line for one in batch.results] == list(range(5))
        assert [item.agent_id for item in batch] == [*agents, *agents, agents[0]]
        assert batch.usage.prompt_tokens > 0
