"""Many prompts at once."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client.testing import MockServer, script

pytestmark = pytest.mark.anyio


def agents(mock: MockServer) -> list[str]:
    return [frame.agent_id for frame in mock.received if frame.type == "runtime_start"]


def asked(mock: MockServer) -> list[Any]:
    """The prompts, and the conversations they went to."""
    return [
        (frame.payload.messages[0]["content"], frame.runtime.conversation_id)
        for frame in mock.received
        if frame.type == "input"
    ]


async def test_results_come_in_the_order_of_the_prompts(mock: MockServer) -> None:
    prompts = [f"question {number}" for number in range(7)]
    async with letta.connect(mock.url) as client:
        batch = await letta.map(client, prompts, agents=["a", "b", "c"], limit=3)
    assert [item.prompt for item in batch] == prompts
    assert [item.agent_id for item in batch] == ["a", "b", "c", "a", "b", "c", "a"]
    assert [item.text for item in batch] == ["Hello world"] * 7
    assert sorted(agents(mock)) == ["a", "a", "a", "b", "b", "c", "c"]
    assert {prompt for prompt, _ in asked(mock)} == set(prompts)
    assert len({place for _, place in asked(mock)}) == 7
    assert len(batch.results) == len(batch) == 7
    assert batch.errors == ()
    assert batch.usage.total_tokens == 7 * 12
    assert batch[0].result is batch.results[0]
    assert batch[1:3] == letta.Batch(list(batch)[1:3])
    assert repr(batch) == "<Batch of 7, 0 failed>"


async def test_only_so_many_run_at_once(scripted: Callable[..., MockServer]) -> None:
    call = script.call("lookup")
    mock = scripted(script.turn(tool_calls=[call]))
    running = most = 0
    full = anyio.Event()

    async def lookup() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        # Nobody goes on before all who may are here.
        await full.wait()
        await anyio.sleep(0.01)
        running -= 1
        return "found"

    async with letta.connect(mock.url) as client:
        with anyio.fail_after(20):
            batch = await letta.map(client, ["?"] * 9, agents="a", limit=3, tools=[lookup])
    assert most == 3
    assert [item.result.tool_calls[0].output for item in batch if item.result] == ["found"] * 9


async def test_all_may_run_at_once(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        batch = await letta.map(client, ["?"] * 20, agents="a", limit=math.inf)
        assert [item.text for item in batch] == ["Hello world"] * 20
        assert len(await letta.map(client, [], agents="a", limit=math.inf)) == 0


async def test_one_that_fails_leaves_the_others_alone(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(script.turn("one"), script.turn("half", error="no credits"), script.turn("3"))
    steps: list[tuple[int, int]] = []
    async with letta.connect(mock.url) as client:
        batch = await letta.map(
            client,
            ["a", "b", "c"],
            agents=["x"],
            limit=1,
            progress=lambda done, total: steps.append((done, total)),
        )
    first, second, third = batch
    assert (first.text, second.text, third.text) == ("one", "half", "3")
    assert isinstance(second.error, letta.TurnFailed)
    assert second.result is None
    assert second.error.__traceback__ is None
    assert batch.errors == (second.error,)
    assert [result.text for result in batch.results] == ["one", "3"]
    # What failed has been paid for as well.
    assert batch.usage.total_tokens == sum(item.usage.total_tokens for item in batch)
    assert second.usage.total_tokens > 0
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert repr(batch) == "<Batch of 3, 1 failed>"


async def test_where_the_client_is_closed_meanwhile_the_items_have_the_error(
    mock: MockServer,
) -> None:
    async with letta.connect(mock.url) as client, anyio.create_task_group() as group:

        def close(done: int, _total: int) -> None:
            if done == 1:
                group.start_soon(client.close)

        batch = await letta.map(client, ["?"] * 30, agents=["x"], limit=1, progress=close)
    kinds = [type(item.error) for item in batch if item.error is not None]
    assert len(kinds) >= 27
    assert set(kinds[1:]) == {letta.ClientClosed}
    assert batch[29].text == ""


async def test_the_first_error_stops_all_when_checked(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(script.turn("on and on", hang=True), script.turn("half", error="no credits"))
    async with letta.connect(mock.url) as client:
        with anyio.fail_after(10), pytest.raises(letta.TurnFailed, match="no credits"):
            await letta.map(client, ["a", "b", "c", "d"], agents=["x"], limit=2, check=True)
        await client.info()
    mock.assert_received("abort_message", times=1)
    assert len(asked(mock)) == 2


async def test_cancelling_stops_every_turn(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("on and on", hang=True))
    async with letta.connect(mock.url) as client:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                with anyio.CancelScope() as scope:

                    async def cancel() -> None:
                        await anyio.to_thread.run_sync(lambda: mock.wait_received("input", 3))
                        scope.cancel()

                    tasks.start_soon(cancel)
                    await letta.map(client, ["?"] * 9, agents=["x"], limit=3)
                assert scope.cancelled_caught
            # Nothing is left behind that would ask on.
            for _ in range(3):
                await anyio.lowlevel.checkpoint()
            await client.info()
    mock.assert_received("abort_message", times=3)
    assert len(asked(mock)) == 3


async def test_what_is_done_is_there_after_a_cancellation(
    scripted: Callable[..., MockServer],
) -> None:
    mock = scripted(script.turn("one"), script.turn(error="boom"), script.turn(hang=True))
    items: dict[int, letta.BatchItem[letta.TurnResult]] = {}
    failed = anyio.Event()

    def keep(index: int, item: letta.BatchItem[letta.TurnResult]) -> None:
        items[index] = item
        if index == 1:
            failed.set()

    async def mapped(client: letta.AppServerClient) -> None:
        await letta.map(client, ["a", "b", "c"], agents=["x"], limit=1, on_item=keep)

    async with (
        letta.connect(mock.url, settle_pause=0) as client,
        anyio.create_task_group() as group,
    ):
        group.start_soon(mapped, client)
        with anyio.fail_after(10):
            await failed.wait()
        group.cancel_scope.cancel()
    assert [(items[index].prompt, items[index].text) for index in (0, 1)] == [
        ("a", "one"),
        ("b", "Hello world"),
    ]
    assert isinstance(items[1].error, letta.TurnFailed)


async def test_what_is_done_is_there_after_a_failure(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(script.turn("one"), script.turn("two"), script.turn(error="boom"))
    items: list[tuple[int, str]] = []
    async with letta.connect(mock.url, settle_pause=0) as client:
        with pytest.raises(letta.TurnFailed):
            await letta.map(
                client,
                ["a", "b", "c", "d"],
                agents=["x"],
                limit=1,
                check=True,
                on_item=lambda index, item: items.append((index, item.text)),
            )
    assert items == [(0, "one"), (1, "two")]


async def test_an_item_that_nobody_could_take_is_logged(
    mock: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(index: int, _: object) -> None:
        raise LookupError(index)

    steps: list[int] = []
    async with letta.connect(mock.url) as client:
        batch = await letta.map(
            client,
            ["?"] * 3,
            agents=["x"],
            on_item=fails,
            progress=lambda done, _: steps.append(done),
        )
    assert (len(batch.results), steps) == (3, [1, 2, 3])
    assert caplog.text.count("on_item: the function raised") == 3


@pytest.mark.parametrize("kind", [LookupError, asyncio.CancelledError])
async def test_a_progress_that_fails_is_logged(
    mock: MockServer, caplog: pytest.LogCaptureFixture, kind: type[BaseException]
) -> None:
    def fails(done: int, _: int) -> None:
        raise kind(done)

    async with letta.connect(mock.url) as client:
        batch = await letta.map(client, ["?"] * 3, agents=["x"], limit=2, progress=fails)
    assert len(batch.results) == 3
    assert caplog.text.count("progress: the bar or the function raised") == 3


async def test_a_bar(mock: MockServer, capsys: pytest.CaptureFixture[str]) -> None:
    async with letta.connect(mock.url) as client:
        await letta.map(client, ["?"] * 4, agents=["x"], progress=True)
        assert "4/4" in capsys.readouterr().err


async def test_a_bar_needs_its_package(mock: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    async with letta.connect(mock.url) as client:
        with pytest.raises(letta.InvalidOption, match=r"^progress: .*tqdm"):
            await letta.map(client, ["?"], agents=["x"], progress=True)
    assert asked(mock) == []


async def test_objects_of_a_type(scripted: Callable[..., MockServer]) -> None:
    @dataclass
    class Part:
        number: int

    @dataclass
    class Answer:
        part: Part

    turns = [
        script.turn("", tool_calls=[script.call("submit_result", {"part": {"number": number}})])
        for number in (1, 2)
    ]
    mock = scripted(*turns, script.turn("No."))
    async with letta.connect(mock.url, settle_pause=0) as client:
        batch = await letta.map(client, ["a", "b", "c"], agents=["x"], limit=1, output_type=Answer)
    assert [result.output for result in batch.results] == [Answer(Part(1)), Answer(Part(2))]
    (error,) = batch.errors
    assert isinstance(error, letta.StructuredOutputError)
    assert batch[2].text == "No."


async def test_settings_of_conversations_and_turns(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        await letta.map(
            client,
            ["a"],
            agents=["x"],
            mode="strict",
            create_conversation={"body": {"title": "t"}},
            timeout=60,
            approvals="deny",
        )
        assert len(await letta.map(client, [], agents=["x"])) == 0
    (started,) = [frame for frame in mock.received if frame.type == "runtime_start"]
    assert (started.mode, started.create_conversation.body.title) == ("strict", "t")


async def test_what_a_generator_gives_counts_for_all(scripted: Callable[..., MockServer]) -> None:
    def weather() -> str:
        return "sunny"

    calls = [script.call(name, needs_approval=True) for name in ("weather", "Read")]
    mock = scripted(script.turn(tool_calls=calls))
    async with letta.connect(mock.url, settle_pause=0) as client:
        batch = await letta.map(
            client,
            ["a", "b"],
            agents=["x"],
            tools=(one for one in [weather]),
            allow=(name for name in ["Read"]),
        )
    statuses = [[call.status for call in result.tool_calls] for result in batch.results]
    assert statuses == [["success", "success"]] * 2


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"prompts": "a"}, "prompts"),
        ({"allow": "Read"}, "allow"),
        ({"agents": []}, "agents"),
        ({"agents": [3]}, "agents"),
        ({"limit": 0}, "limit"),
        ({"limit": 2.5}, "limit"),
        ({"limit": -math.inf}, "limit"),
        ({"limit": math.nan}, "limit"),
        ({"progress": "yes"}, "progress"),
        ({"on_item": 3}, "on_item"),
        ({"on_item": anyio.sleep}, "on_item: expected None or a plain function, got an async one"),
        (
            {"progress": anyio.sleep},
            "progress: .* a plain function, got an async one, which nobody",
        ),
        ({"timeout": -1}, "timeout"),
        ({"cwd": b"x"}, "cwd"),
        ({"fields": 5}, "fields"),
    ],
)
async def test_what_is_not_usable_is_no_error_of_single_prompts(
    mock: MockServer, options: dict[str, Any], name: str
) -> None:
    given: dict[str, Any] = {"prompts": ["a"], "agents": ["x"], **options}
    async with letta.connect(mock.url) as client:
        with pytest.raises(letta.InvalidOption, match=rf"^{name}"):
            await letta.map(client, **given)
    assert asked(mock) == []


async def test_numbers_of_numpy_are_numbers(mock: MockServer) -> None:
    np = pytest.importorskip("numpy")
    async with letta.connect(mock.url) as client:
        batch = await letta.map(client, ["a"] * 3, agents="x", limit=np.int64(2))
        assert not batch.errors
        for wrong in (np.bool_(True), np.float64(2), np.int64(0)):
            with pytest.raises(letta.InvalidOption, match=r"^limit: expected a "):
                await letta.map(client, ["a"], agents="x", limit=wrong)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "bogus"}, r"^`runtime_start`: field `mode`: "),
        ({"fields": {"skil_sources": []}}, "skil_sources"),
        ({"fields": {"external_tools": 5}}, "external_tools"),
        ({"create_conversation": 5}, "create_conversation"),
    ],
)
async def test_conversations_that_could_not_be_started_are_refused_before_anything_is_sent(
    mock: MockServer, options: dict[str, Any], words: str
) -> None:
    async with letta.connect(mock.url) as client:
        with pytest.raises(letta.InvalidCommand, match=words):
            await letta.map(client, ["a", "b"], agents=["x", "y"], **options)
    assert agents(mock) == []


async def _prompts() -> AsyncIterator[str]:
    yield "a"


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        (lambda: {"prompt": "x"}, r"several, got a mapping \(dict\) \(pass its values: "),
        (lambda: pytest.importorskip("pandas").DataFrame({"q": ["x"]}), r"got a table \(DataFrame"),
        (lambda: None, "several, got NoneType"),
        (lambda: 5, "several, got int"),
        (_prompts, "several, got async_generator"),
    ],
)
async def test_what_has_names_or_no_order_is_no_list_of_prompts(
    mock: MockServer, prompts: Callable[[], Any], words: str
) -> None:
    async with letta.connect(mock.url) as client:
        with pytest.raises(letta.InvalidOption, match=rf"^prompts: expected .*{words}"):
            await letta.map(client, prompts(), agents="x")
    assert asked(mock) == []


async def test_a_column_of_a_table_is_a_list_of_prompts(mock: MockServer) -> None:
    column = pytest.importorskip("pandas").Series(["a", "b"])
    async with letta.connect(mock.url) as client:
        await letta.map(client, column, agents="x", limit=1)
    assert [prompt for prompt, _ in asked(mock)] == ["a", "b"]


@pytest.mark.parametrize("output_type", [None, dict])
async def test_a_prompt_that_is_none_is_an_error_of_its_own(
    scripted: Callable[..., MockServer], output_type: Any
) -> None:
    prompts: list[Any] = ["a", None, float("nan"), "b"]
    mock = scripted(script.turn(tool_calls=[script.call("submit_result", {})]))
    async with letta.connect(mock.url, settle_pause=0) as client:
        batch = await letta.map(client, prompts, agents="x", output_type=output_type)
    errors = [type(item.error) for item in batch]
    assert errors == [type(None), letta.InvalidCommand, letta.InvalidCommand, type(None)]


async def test_one_that_is_cancelled_before_it_begins_asks_nothing(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        with anyio.fail_after(10), anyio.CancelScope() as scope:
            scope.cancel()
            await letta.map(client, ["?"] * 9, agents=["x"])
        assert scope.cancelled_caught
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        await client.info()
    mock.assert_received("input", times=0)


async def test_one_that_fails_before_the_others_begin(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        await client.close()
        with anyio.fail_after(10), pytest.raises(letta.ClientClosed):
            await letta.map(client, ["?"] * 9, agents=["x"], check=True)


@pytest.mark.parametrize("output_type", [None, dict[str, int]])
async def test_a_prompt_that_cannot_be_sent_starts_no_conversation(
    mock: MockServer, output_type: Any
) -> None:
    wrong: list[Any] = [math.nan, None, 7, [{"type": "text", "txt": "?"}], [{"text": object()}]]
    async with letta.connect(mock.url) as client:
        batch = await letta.map(client, wrong, agents="agent-1", output_type=output_type)
        assert agents(mock) == []
        # In the words of a session.
        session = await client.session(agent_id="agent-1")
        for prompt, error in zip(wrong, batch.errors, strict=True):
            with pytest.raises(letta.InvalidCommand) as told:
                await session.run(prompt)
            assert str(error) == str(told.value)
    assert len(agents(mock)) == 1


async def test_a_prompt_that_can_be_read_once_is_sent_whole(mock: MockServer) -> None:
    parts: Any = iter([{"type": "text", "text": "?"}])
    async with letta.connect(mock.url) as client:
        batch = await letta.map(client, [parts], agents="agent-1")
    assert batch.errors == ()
    assert [content for content, _ in asked(mock)] == [[{"type": "text", "text": "?"}]]


@pytest.mark.parametrize("prompts", [["a", "b"], []])
async def test_a_closed_client_is_refused(mock: MockServer, prompts: list[str]) -> None:
    async with letta.connect(mock.url) as client:
        pass
    with pytest.raises(letta.ClientClosed):
        await letta.map(client, prompts, agents="agent-1")
