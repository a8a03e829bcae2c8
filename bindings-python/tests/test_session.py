"""Conversations the way programs use them, against the server double."""

from __future__ import annotations

import contextvars
import copy
import gc
import weakref
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import ApprovalRequest, Decision, Message
from letta_app_client.testing import MockServer, script
from tests.helpers import message

pytestmark = pytest.mark.anyio

ASKING = script.turn(text="done", tool_calls=[script.call("Write", needs_approval=True)])


def allow(_: ApprovalRequest) -> Decision:
    return letta.allow()


def starts(mock: MockServer) -> list[Message]:
    return [frame for frame in mock.received if frame.type == "runtime_start"]


@pytest.mark.parametrize("generation", ["single", "split"])
async def test_asking_is_two_lines(generation: Any) -> None:
    with MockServer([script.turn(text=["4", "2"])], generation=generation) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="agent-1")
            result = await session.run("?")
            assert (result.status, result.text) == ("completed", "42")
            again = await session.run([{"type": "text", "text": "?"}])
            total = result.usage.total_tokens + again.usage.total_tokens
            assert session.usage.total_tokens == total
            assert (session.agent_id, session.mode, session.cwd) == ("agent-1", "standard", None)
        # The server's own default would run every tool unasked.
        (start,) = starts(mock)
        assert start.mode == "standard"


async def test_events_text_alone_or_the_turn() -> None:
    with MockServer([script.turn(text=["4", "2"])]) as mock:
        async with (
            letta.connect(mock.url) as client,
            client.session(agent_id="a") as session,
        ):
            events = [event async for event in session.stream("?")]
            assert isinstance(events[-1], letta.TurnFinished)
            assert "".join([text async for text in session.stream_text("?")]) == "42"
            assert (await session.send("?")).text == "42"
            assert (session.usage.prompt_tokens, session.usage.completion_tokens) == (30, 6)


async def test_what_wants_a_permission_is_denied_unless_somebody_is_there() -> None:
    with MockServer([ASKING]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a")
            assert [call.status for call in (await session.run("?")).tool_calls] == ["error"]
            result = await session.run("?", approvals=allow)
            assert [call.status for call in result.tool_calls] == ["success"]
            led = await client.session(agent_id="a", approvals=allow)
            assert [call.status for call in (await led.run("?")).tool_calls] == ["success"]
            with pytest.raises(letta.ApprovalRequired):
                await led.run("?", approvals="pause")


async def test_by_default_the_clients_handlers_are_asked_and_without_one_it_is_denied() -> None:
    @letta.tool
    def mine() -> str:
        """Mine."""
        return "ran"

    calls = [script.call("mine"), script.call("Bash", {"command": "ls"}, needs_approval=True)]
    asked: list[str] = []

    def decide(request: ApprovalRequest) -> Decision:
        asked.append(request.tool_name)
        return letta.allow()

    async def statuses(**approvals: Any) -> list[str | None]:
        return [call.status for call in (await session.run("?", **approvals)).tool_calls]

    with MockServer([script.turn(text="done", tool_calls=calls)]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a", tools=[mine])
            assert (await statuses(), asked) == (["success", "error"], [])
            remove = client.on_approval_request(decide)
            assert (await statuses(), asked) == (["success", "success"], ["Bash"])
            assert await statuses(approvals="ask_or_deny") == ["success", "success"]
            assert asked == ["Bash", "mine", "Bash"], "what was chosen counts for own tools too"
            assert await statuses(approvals="deny") == ["error", "error"]
            remove()
            assert await statuses() == ["success", "error"]
            assert len(asked) == 3


async def test_what_was_decided_is_kept() -> None:
    rules = letta.policy.first_match(letta.policy.allow("Write"))
    audit = letta.policy.Audit(rules)

    async def refuse(_: ApprovalRequest) -> Decision:
        raise ValueError("no idea")

    with MockServer([ASKING]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a", approvals=rules)
            result = await session.run("?")
            await session.run("?", approvals=refuse)
            await session.run("?", approvals=audit)
            await session.run("?", approvals="deny")
            first, second, third = session.approvals
    assert (first.tool_name, first.by) == ("Write", "allow('Write')")
    # Which call it was, and where, as the result and the session have it.
    assert [first.tool_call_id] == [call.id for call in result.tool_calls]
    assert first.runtime == second.runtime == session.runtime
    assert first.decision is not None
    assert first.decision["behavior"] == "allow"
    assert second.decision is None
    assert "no idea" in (second.error or "")
    assert "refuse" in second.by
    assert third.by == first.by
    assert [entry.request_id for entry in audit] == [third.request_id]


async def test_settings_that_are_none_are_refused_at_once(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        with pytest.raises(TypeError, match="unexpected keyword argument 'tool'"):
            client.session(agent_id="a", tool=[])  # type: ignore[call-arg]


async def test_a_table_is_no_prompt(mock: MockServer) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"id": ["a"]})
    async with letta.connect(mock.url) as client:
        session = await client.session(agent_id="a")
        settings: list[dict[str, Any]] = [{}, {"output_type": int}]
        for table, kind in ((frame, r"table \(DataFrame\)"), (frame.id, r"column \(Series\)")):
            for more in settings:
                words = f"^prompt: expected text or a list of parts, got a {kind} .*use map"
                with pytest.raises(letta.InvalidCommand, match=words):
                    await session.run(table, **more)
        mock.assert_received("input", times=0)


async def test_what_is_not_usable_is_named(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        for cwd in (5, b"x"):
            with pytest.raises(letta.InvalidOption, match=r"^cwd: expected a path, got "):
                client.session(agent_id="a", cwd=cwd)  # type: ignore[arg-type]
        nul = r"^cwd: expected a path without a NUL character, got 'a\\x00b'"
        with pytest.raises(letta.InvalidOption, match=nul):
            client.session(agent_id="a", cwd="a\0b")
        with pytest.raises(letta.InvalidOption, match=nul):
            await letta.map(client, ["?"], agents="a", cwd="a\0b")
        mock.assert_received("runtime_start", times=0)
        session = await client.session(agent_id="a")
        with pytest.raises(letta.InvalidOption, match=nul):
            await session.set_cwd("a\0b")
        prompts: list[Any] = [None, 123, b"x", {"type": "text", "text": "?"}]
        settings: list[dict[str, Any]] = [{}, {"output_type": int}]
        for prompt in prompts:
            for more in settings:
                with pytest.raises(letta.InvalidCommand, match=r"^prompt: expected text or a list"):
                    await session.run(prompt, **more)
        wrong: Any = {"check": "no"}
        payload = message()
        for call in (
            session.run("?", **wrong),
            session.run("?", output_type=int, **wrong),
            client.run_turn(runtime=session.runtime, payload=payload, **wrong),
            letta.map(client, ["?"], agents="a", **wrong),
            letta.gather(**wrong),
        ):
            with pytest.raises(letta.InvalidOption, match=r"^check: expected True or False"):
                await call
        with pytest.raises(letta.InvalidOption, match=r"^check: expected True or False"):
            client.send_turn(runtime=session.runtime, payload=payload, **wrong)
        await client.info()
    mock.assert_received("input", times=0)
    mock.assert_received("change_device_state", times=0)


async def test_a_turn_that_the_agent_did_not_end_is_raised() -> None:
    with MockServer([script.turn(text="half", error="no credits")]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a")
            with pytest.raises(letta.TurnFailed, match="no credits") as failure:
                await session.run("?")
            assert failure.value.result is not None
            assert failure.value.result.text == "half"
            assert (await session.run("?", check=False)).status == "failed"
            assert (await session.send("?")).status == "failed"


async def test_what_runs_is_stopped() -> None:
    with MockServer([script.turn(text="half", hang=True)]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a")
            turn = session.send("?")
            async for text in turn.stream_text():
                assert text == "half"
                assert await session.abort()
            assert (await turn).status == "aborted"
            assert not await session.abort()
            with anyio.fail_after(10):
                async with client.session(agent_id="a") as other:
                    left = other.send("?")
                assert (await left).status == "aborted"


async def test_a_directory_that_is_not_there_is_told() -> None:
    with MockServer(directories=["/here", "/there"]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a", cwd="/here")
            assert (session.cwd, session.cwd_ignored) == ("/here", False)
            session.set_mode("acceptEdits")
            await session.set_cwd("/there")
            assert (session.cwd, session.cwd_ignored) == ("/there", False)
            await session.set_cwd("/here")
            with pytest.raises(letta.RequestError, match=r"/nowhere.*/here"):
                await session.set_cwd("/nowhere")
            lost = await client.session(agent_id="a", cwd="/nowhere")
            assert (lost.cwd, lost.cwd_ignored) == ("/home/user/project", True)


async def test_a_conversation_is_changed_and_forked() -> None:
    answers = {
        "conversation_fork": {"conversation": {"id": "conv-2"}},
        "update_model": {
            "runtime": {},
            "applied_to": "agent",
            "model_id": "m",
            "model_handle": "m",
        },
        "conversation_messages_list": {"messages": [{"id": "m1"}], "has_more": False},
    }
    with MockServer(answers=answers) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(
                agent_id="a", conversation_id="conv-1", mode="acceptEdits"
            )
            await session.update_model("x/m")
            session.set_mode("standard")
            fork = await session.fork()
            assert (fork.agent_id, fork.conversation_id) == ("a", "conv-2")
            assert [message["id"] async for message in session.messages()] == ["m1"]
        starts = [frame for frame in mock.received if frame.type == "runtime_start"]
        assert [start.mode for start in starts] == ["acceptEdits", "standard"]
        (change,) = [frame for frame in mock.received if frame.type == "change_device_state"]
        assert change.payload == {"mode": "standard"}


async def test_the_fork_of_a_default_conversation_says_whose_it_is() -> None:
    with MockServer(answers={"conversation_fork": {"conversation": {"id": "conv-2"}}}) as mock:
        async with letta.connect(mock.url) as client:
            for conversation in ("default", "conv-1"):
                session = await client.session(agent_id="a", conversation_id=conversation)
                await session.fork()
        forks = [frame for frame in mock.received if frame.type == "conversation_fork"]
        assert [fork.get("body") for fork in forks] == [{"agent_id": "a"}, None]


async def test_a_fork_stays_in_the_directory_that_its_session_has_not_asked_for() -> None:
    with MockServer(answers={"conversation_fork": {"conversation": {"id": "conv-2"}}}) as mock:
        async with letta.connect(mock.url) as client:
            await client.session(agent_id="a", conversation_id="conv-1", cwd="/there")
            joined = await client.session(agent_id="a", conversation_id="conv-1")
            fork = await joined.fork()
            assert (joined.cwd, fork.cwd, fork.cwd_ignored) == (None, "/there", False)
        assert starts(mock)[-1].cwd == "/there"


async def test_tools_run_in_their_conversation_and_need_no_permission() -> None:
    def weather(city: str) -> str:
        """Forecast the weather."""
        return f"sunny in {city}"

    async def elsewhere(_: object) -> str:
        return "from the handler for all"

    calls = [script.call("weather", {"city": "Bern"}, needs_approval=True)]
    asking = [*calls, script.call("Write", needs_approval=True)]
    answers = {"conversation_fork": {"conversation": {"id": "conv-2"}}}
    with MockServer([script.turn(tool_calls=asking)], answers=answers) as mock:
        async with letta.connect(mock.url) as client:
            client.on_external_tool_call(elsewhere)
            async with client.session(agent_id="a", tools=[weather]) as session:
                result = await session.run("?")
                outcomes = [(call.name, call.status, call.output) for call in result.tool_calls]
                assert outcomes[0] == ("weather", "success", "sunny in Bern")
                assert outcomes[1][:2] == ("Write", "error")
                copy = await session.fork()
                assert copy.runtime != session.runtime
                first, second = starts(mock)
                assert first.external_tools == second.external_tools
                (group,) = first.external_tools
                assert [tool["name"] for tool in group["tools"]] == ["weather"]
            other = await client.session(
                agent_id="b", fields={"external_tools": first.external_tools}, approvals=allow
            )
            result = await other.run("?")
            assert result.tool_calls[0].output == "from the handler for all"


async def test_its_tools_have_the_context_of_the_turn() -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")

    async def coroutine() -> str:
        return request.get()

    def thread() -> str:
        return request.get()

    calls: list[Any] = [("coroutine", {}), ("thread", {}), ("of_the_client", {})]
    tools = [{"name": "of_the_client", "description": "", "parameters": {}}]
    with MockServer([script.turn(tool_calls=calls)]) as mock:
        async with letta.connect(mock.url) as client:
            request.set("registered")
            client.on_external_tool_call(lambda _: request.get())
            session = await client.session(
                agent_id="a",
                tools=[coroutine, thread],
                mode="unrestricted",
                fields={"external_tools": [{"tools": tools}]},
            )
            for number in ("first", "second"):
                request.set(number)
                result = await session.run("?")
                seen = [call.output for call in result.tool_calls]
                assert seen == [number, number, "registered"]


@pytest.mark.parametrize("output_type", [None, dict])
async def test_calls_of_its_own_tools_leave_no_record(output_type: Any) -> None:
    def weather() -> str:
        return "sunny"

    calls = [script.call(name, needs_approval=True) for name in ("weather", "Read", "Write")]
    done = script.call("submit_result", {})
    answers = {"conversation_fork": {"conversation": {"id": "conv-2"}}}
    with MockServer([script.turn(tool_calls=[*calls, done])], answers=answers) as mock:
        async with letta.connect(mock.url) as client:
            names = (name for name in ["Read"])
            session = await client.session(agent_id="a", tools=[weather], allow=names)
            for one in (session, await session.fork()):
                result: letta.TurnResult = await one.run("?", output_type=output_type)
                statuses = [call.status for call in result.tool_calls[:3]]
                assert statuses == ["success", "success", "error"]
                assert one.approvals == ()
            # What a turn says about permissions counts instead.
            result = await session.run("?", approvals=lambda _: letta.deny("no"), allow=())
            assert [call.status for call in result.tool_calls[:3]] == ["error"] * 3
            assert len(session.approvals) == 3
            with pytest.raises(letta.InvalidOption, match=r"^allow: "):
                await session.run("?", allow="Read", output_type=output_type)


async def test_a_call_for_which_there_is_no_handler_is_answered() -> None:
    def lookup() -> str:
        return "found"

    with MockServer([script.turn(tool_calls=[script.call("lookup")])]) as mock:
        async with (
            letta.connect(mock.url) as client,
            client.session(agent_id="a", tools=[lookup]) as session,
        ):
            (start,) = starts(mock)
            fields = {"external_tools": start.external_tools}
            other = await client.session(agent_id="b", fields=fields)
            assert [call.status for call in (await other.run("?")).tool_calls] == ["error"]
            assert [call.status for call in (await session.run("?")).tool_calls] == ["success"]


def test_functions_that_cannot_be_tools_are_refused_at_once() -> None:
    def lookup(*names: str) -> None: ...

    client = letta.create_app_server_client(url="ws://127.0.0.1:1")
    with pytest.raises(TypeError, match="lookup"):
        client.session(agent_id="a", tools=[lookup])


async def test_other_tools_of_the_conversation_are_left_to_the_handler_for_all() -> None:
    def mine() -> str:
        return "from the session"

    def general(_: object) -> str:
        return "for all"

    other = {"name": "other", "description": "", "parameters": {"type": "object"}}
    calls = [script.call("other"), script.call("mine")]
    with MockServer([script.turn(tool_calls=calls)]) as mock:
        async with letta.connect(mock.url) as client:
            client.on_external_tool_call(general)
            fields = {"external_tools": [{"tools": [other]}]}
            session = await client.session(
                agent_id="a", tools=[mine], mode="unrestricted", fields=fields
            )
            outputs = [call.output for call in (await session.run("?")).tool_calls]
            assert outputs == ["for all", "from the session"]


async def test_closing_one_session_leaves_the_tools_of_another() -> None:
    def lookup() -> str:
        return "found"

    with MockServer([script.turn(tool_calls=[script.call("lookup")])]) as mock:
        async with letta.connect(mock.url) as client:
            ids: dict[str, Any] = {"agent_id": "a", "conversation_id": "c"}
            session = await client.session(**ids, tools=[lookup])
            second = await client.session(**ids, tools=[lookup])
            await second.close()
            assert [call.output for call in (await session.run("?")).tool_calls] == ["found"]
            await session.close()
            assert [call.status for call in (await session.run("?")).tool_calls] == ["error"]


async def test_closing_stops_what_was_asked() -> None:
    statuses = []

    async def ask(session: letta.Session) -> None:
        statuses.append((await session.run("?")).status)

    with MockServer([script.turn(text="half", hang=True)]) as mock:
        async with (
            letta.connect(mock.url) as client,
            anyio.create_task_group() as tasks,
            client.session(agent_id="a") as session,
        ):
            tasks.start_soon(ask, session)
            await anyio.to_thread.run_sync(lambda: mock.wait_received("input"))
        mock.assert_received("abort_message", times=1)
    assert statuses == ["aborted"]


async def test_failed_turns_have_been_paid_for_too() -> None:
    with MockServer([script.turn(text="", error="no credits")]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a")
            with pytest.raises(letta.TurnFailed) as failed:
                await session.run("?")
            result = failed.value.result
            assert result is not None
            assert result.usage.total_tokens > 0
            assert session.usage == result.usage


async def test_the_result_of_a_turn_is_not_kept() -> None:
    with MockServer() as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a")
            result = await session.run("?")
            gone, usage = weakref.ref(result), result.usage
            del result
            gc.collect()
            assert gone() is None
            assert session.usage == usage


async def test_a_session_that_is_dropped_has_no_tools() -> None:
    def lookup() -> str:
        return "found"

    gone = weakref.ref(lookup)
    with MockServer([script.turn(tool_calls=[script.call("lookup")])]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a", tools=[lookup], mode="unrestricted")
            runtime = session.runtime
            # A turn that is open needs them.
            turn = session.send("?")
            del session, lookup
            gc.collect()
            assert [call.output for call in (await turn).tool_calls] == ["found"]
            del turn
            gc.collect()
            assert client._tools._handlers == {}
            assert gone() is None
            # Who is called all the same still answers.
            payload = message()
            late = await client.run_turn(runtime=runtime, payload=payload)
            assert [call.status for call in late.tool_calls] == ["error"]


async def test_tools_that_lead_to_their_session_do_not_outlive_the_client() -> None:
    async def main(url: str) -> weakref.ref[letta.Session]:
        sessions: list[letta.Session] = []

        def lookup() -> str:
            return str(sessions)

        async with letta.connect(url) as client:
            sessions.append(await client.session(agent_id="a", tools=[lookup]))
        return weakref.ref(sessions[0])

    with MockServer() as mock:
        gone = await main(mock.url)
    gc.collect()
    assert gone() is None


async def test_messages_of_the_default_conversation() -> None:
    # It has no id of its own: two agents' would be told apart by nothing.
    turns = [script.turn("one"), script.turn("two")]
    with MockServer(turns) as server, anyio.fail_after(30):
        client = await letta.connect(server.url)
        first = await client.session(agent_id="a", conversation_id="default")
        second = await client.session(agent_id="b", conversation_id="default")
        await first.run("1")
        await second.run("2")
        for session, text in ((first, "one"), (second, "two")):
            answer, _ = [one async for one in session.messages()]
            assert answer["content"] == [{"type": "text", "text": text}]
        await client.close()


async def test_tools_of_a_scope_are_for_turns_of_their_session() -> None:
    def lookup() -> str:
        return "found"

    tools = letta.ToolSet([lookup], scope_id="mine")
    calling = script.turn("done", tool_calls=[script.call("lookup")])
    with MockServer([calling]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a", tools=tools)
            copy = await session.fork()
            for one in (session, copy):
                assert [call.output for call in (await one.run("?")).tool_calls] == ["found"]
            batch = await letta.map(client, ["?"], agents="a", tools=tools)
            assert [item.error for item in batch] == [None]
            # A result of a type has a scope besides.
            with pytest.raises(letta.StructuredOutputError):
                await session.run("?", output_type=int)
        starts_seen = [start.raw["external_tools"] for start in starts(mock)]
        assert starts_seen == [tools.external_tools] * 3
        (update, *_) = [
            frame for frame in mock.received if frame.type == "runtime_external_tools_update"
        ]
        offered = update.raw["updates"][0]["external_tools"]
        inputs = [frame.payload.raw for frame in mock.received if frame.type == "input"]
    prompts = [payload for payload in inputs if payload["kind"] == "create_message"]
    named = [payload["external_tool_scope_ids"] for payload in prompts]
    assert named[:3] == [["mine"]] * 3
    assert named[3] == [group["scope_id"] for group in offered]
    assert named[3][0] == "mine"


async def test_a_session_without_tools_names_no_scope(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        session = await client.session(agent_id="a", tools=letta.ToolSet([], scope_id="mine"))
        await session.run("?")
    (sent,) = [frame for frame in mock.received if frame.type == "input"]
    assert "external_tool_scope_ids" not in sent.payload
    assert letta.ToolSet(letta.ToolSet([], scope_id="mine"), scope_id="other").scope_id == "other"
    with pytest.raises(letta.InvalidOption, match=r"^scope_id: expected text, got int"):
        letta.ToolSet([], scope_id=5)  # type: ignore[arg-type]


async def test_what_is_not_awaited_yet_says_so(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        early: Any
        for early, name in (
            (letta.connect(mock.url), "session"),
            (client.session(agent_id="a"), "run"),
            (letta.spawn_server(), "url"),
        ):
            with pytest.raises(
                AttributeError, match=rf"'{name}': it is not awaited yet, use `await"
            ):
                getattr(early, name)
            with pytest.raises(TypeError, match="it is opened with `async with`"), early:
                pass
            assert not hasattr(early, "_unknown")
            copy.copy(early)
