"""Functions that decide on permissions, and what turns do without them."""

from __future__ import annotations

import builtins
import contextvars
import copy
import logging
import pickle
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import ApprovalRequest, AppServerClient, Decision, allow, deny
from letta_app_client.testing import MockServer, script
from tests.helpers import frame_seen, message, start

pytestmark = pytest.mark.anyio
GROUP: Any = getattr(builtins, "ExceptionGroup", None)
ASKING = script.call("Bash", {"command": "ls"}, needs_approval=True, result="a.py")
TOOL = {"name": "lookup", "description": "", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
def asking(scripted: Callable[..., MockServer]) -> MockServer:
    return scripted(script.turn("done", tool_calls=[ASKING]))


@pytest.fixture
async def client(asking: MockServer) -> AsyncIterator[AppServerClient]:
    with anyio.fail_after(15):
        async with letta.connect(asking.url, settle_pause=0) as client:
            yield client


def answers(mock: MockServer) -> list[Any]:
    """What was answered to permission requests."""
    payloads = [frame.payload for frame in mock.received if frame.type == "input"]
    return [
        payload.raw.get("decision") or payload.raw.get("error")
        for payload in payloads
        if payload.kind == "approval_response"
    ]


async def run(client: AppServerClient, approvals: Any, **more: Any) -> letta.TurnResult:
    runtime = await start(client)
    return await client.run_turn(runtime=runtime, payload=message(), approvals=approvals, **more)


async def test_a_plain_function_decides_in_a_thread(
    asking: MockServer, client: AppServerClient
) -> None:
    threads: list[int] = []

    def decide(request: ApprovalRequest) -> Decision:
        threads.append(threading.get_ident())
        assert (request.tool_name, request.input.command) == ("Bash", "ls")
        return allow(suggestions=request.suggestions)

    result = await run(client, decide)
    assert (result.text, result.tool_calls[0].output) == ("done", "a.py")
    assert threads != [threading.get_ident()]
    (answer,) = answers(asking)
    assert answer["selected_permission_suggestion_ids"] == ["save-default"]
    assert client._approvals._handlers == {}


async def test_a_coroutine_function_decides_on_the_loop(
    asking: MockServer, client: AppServerClient
) -> None:
    threads: list[int] = []

    async def decide(_: ApprovalRequest) -> dict[str, str]:
        await anyio.lowlevel.checkpoint()
        threads.append(threading.get_ident())
        return {"behavior": "deny", "message": "not now"}

    result = await run(client, decide)
    (call,) = result.tool_calls
    assert (call.status, call.output) == ("error", "not now")
    assert threads == [threading.get_ident()]
    assert answers(asking) == [{"behavior": "deny", "message": "not now"}]


async def test_a_handler_that_gets_no_thread_denies(
    asking: MockServer, client: AppServerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "letta-app-client-job":
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    result = await run(client, lambda _: allow(), timeout=10)
    (call,) = result.tool_calls
    assert (call.status, client.stats.handler_errors) == ("error", 1)
    (answer,) = answers(asking)
    assert answer.endswith("RuntimeError: can't start new thread")


@pytest.mark.skipif(GROUP is None, reason="groups are built in from 3.11 on")
async def test_the_agent_reads_what_is_in_a_group(
    asking: MockServer, client: AppServerClient
) -> None:
    async def decide(_: ApprovalRequest) -> Decision:
        inner = GROUP("inner", [OSError("no route")])
        raise GROUP("both failed", [ValueError("no such host"), inner])

    await run(client, decide)
    (answer,) = answers(asking)
    assert answer.endswith("(2 sub-exceptions); ValueError: no such host; OSError: no route")


async def test_the_arguments_can_be_changed(scripted: Callable[..., MockServer]) -> None:
    call = script.call("lookup", {"q": "x", "n": 1}, needs_approval=True)
    mock = scripted(script.turn("done", tool_calls=[call]))
    async with letta.connect(mock.url) as client:
        client.on_external_tool_call(lambda call: f"{call.input.q} {call.input.n}")
        runtime = await start(client, external_tools=[{"tools": [TOOL]}])
        result = await client.run_turn(
            runtime=runtime,
            payload=message(),
            approvals=lambda request: allow(updated_input={**request.input, "n": 2}),
        )
    assert result.tool_calls[0].output == "x 2"


async def test_several_requests_come_one_after_the_other(
    scripted: Callable[..., MockServer],
) -> None:
    calls = [script.call(name, needs_approval=True) for name in ("Bash", "Write", "Edit")]
    mock = scripted(script.turn("done", tool_calls=calls))
    at_once: list[int] = []
    asked: list[str] = []

    async def decide(request: ApprovalRequest) -> Decision:
        at_once.append(1)
        assert len(at_once) == 1
        await anyio.lowlevel.checkpoint()
        asked.append(request.tool_name)
        at_once.pop()
        return allow() if request.tool_name != "Write" else deny("read only")

    async with letta.connect(mock.url) as client:
        result = await run(client, decide)
    assert asked == ["Bash", "Write", "Edit"]
    assert [call.status for call in result.tool_calls] == ["success", "error", "success"]


async def test_the_events_of_a_turn_tell_of_its_approvals(client: AppServerClient) -> None:
    runtime = await start(client)
    turn = client.send_turn(runtime=runtime, payload=message(), approvals=lambda _: allow())
    requested: list[ApprovalRequest] = []
    decided: list[str | None] = []
    async for event in turn:
        match event:
            case letta.ApprovalRequested(request):
                requested.append(request)
            case letta.ApprovalDecided(decision):
                decided.append(decision)
    assert [request.tool_name for request in requested] == ["Bash"]
    assert decided == ["allow"]
    assert (await turn).text == "done"
    assert client._approvals._handlers == {}


def raises(_: ApprovalRequest) -> Decision:
    raise LookupError("no rule")


async def raises_on_the_loop(_: ApprovalRequest) -> Decision:
    raise LookupError


def exits(_: ApprovalRequest) -> Decision:
    sys.exit(3)


async def returns_later(_: ApprovalRequest) -> bool:
    return True


class Speechless(Exception):
    def __str__(self) -> str:
        raise LookupError


def raises_without_a_text(_: ApprovalRequest) -> Decision:
    raise Speechless


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (raises, "the approval handler failed: LookupError: no rule"),
        (raises_on_the_loop, "the approval handler failed: LookupError"),
        (raises_without_a_text, "the approval handler failed: Speechless"),
        (exits, "the approval handler exited"),
        (returns_later, "the approval handler returned bool; expected allow"),
        (lambda _: None, "the approval handler returned NoneType; expected allow"),
        (lambda _: {"behavior": "allow", "updated_input": {"x": float("nan")}}, "finite number"),
        (lambda _: {"behavior": "allow", "updatedInput": {}}, "did you mean `updated_input`?"),
        (lambda _: {"behavior": "allow", "input": {}}, "field `input`"),
    ],
)
async def test_a_handler_that_does_not_decide_denies(
    asking: MockServer,
    client: AppServerClient,
    handler: Any,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        result = await run(client, handler)
    (call,) = result.tool_calls
    assert call.status == "error"
    assert reason in (call.output or "")
    assert client.stats.handler_errors == 1
    assert 'asked for "Bash"' in caplog.text
    (answer,) = answers(asking)
    assert reason in answer


async def test_a_decision_that_the_server_would_not_understand_denies(
    asking: MockServer, client: AppServerClient, caplog: pytest.LogCaptureFixture
) -> None:
    result = await run(client, lambda _: {"behavior": "maybe"})
    (call,) = result.tool_calls
    assert call.status == "error"
    assert "invalid" in (call.output or "")
    (answer,) = answers(asking)
    assert "invalid" in answer
    assert "behavior" in answer
    assert client.stats.handler_errors == 1
    assert "behavior" in caplog.text


async def test_an_abort_cancels_the_handler(asking: MockServer, client: AppServerClient) -> None:
    asked, cancelled = anyio.Event(), anyio.Event()

    async def decide(_: ApprovalRequest) -> Decision:
        asked.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()
        return allow()

    runtime = await start(client)
    turn = client.send_turn(runtime=runtime, payload=message(), approvals=decide)
    await asked.wait()
    assert "approval Bash" in turn.explain()
    assert (await turn.abort()).status == "aborted"
    await cancelled.wait()
    assert answers(asking) == []
    assert client.stats.handler_errors == 0


async def test_an_answer_that_comes_too_late_is_dropped(
    asking: MockServer, client: AppServerClient
) -> None:
    asked, over = threading.Event(), threading.Event()
    returned = anyio.Event()

    def decide(_: ApprovalRequest) -> Any:
        asked.set()
        over.wait(10)

        async def later() -> Decision:
            # What a thread leaves behind is closed, not run.
            returned.set()
            return allow()

        return later()

    runtime = await start(client)
    turn = client.send_turn(runtime=runtime, payload=message(), approvals=decide)
    await anyio.to_thread.run_sync(asked.wait)
    await turn.abort()
    over.set()
    # The thread's message to the loop is there before the answer to a question asked afterwards.
    for thread in threading.enumerate():
        if thread.name == "letta-app-client-job":
            await anyio.to_thread.run_sync(thread.join)
    await client.info()
    assert not returned.is_set()
    assert answers(asking) == []


async def test_somebody_else_decides_first(asking: MockServer, client: AppServerClient) -> None:
    cancelled = anyio.Event()
    runtime = await start(client)

    async def decide(request: ApprovalRequest) -> Decision:
        decision = {"behavior": "deny", "message": "by hand"}
        of_request = {"kind": "approval_response", "request_id": request.request_id}
        payload: Any = {**of_request, "decision": decision}
        client.input(runtime=runtime, payload=payload)
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()
        return allow()

    result = await client.run_turn(runtime=runtime, payload=message(), approvals=decide)
    await cancelled.wait()
    assert result.tool_calls[0].output == "by hand"
    assert len(answers(asking)) == 1


async def test_deny(asking: MockServer, client: AppServerClient) -> None:
    result = await run(client, "deny")
    assert (result.status, result.tool_calls[0].status) == ("completed", "error")
    (answer,) = answers(asking)
    assert answer["behavior"] == "deny"
    assert answer["message"]


async def test_pause(client: AppServerClient) -> None:
    for approvals in ({}, {"approvals": "pause"}):
        runtime = await start(client)
        result = await client.run_turn(runtime=runtime, payload=message(), **approvals)  # type: ignore[arg-type]
        assert (result.status, result.stop_reason) == ("requires_approval", "requires_approval")


async def test_what_the_program_answers_itself_is_its_decision(client: AppServerClient) -> None:
    runtime = await start(client)
    decisions: list[str | None] = []
    async for event in client.send_turn(runtime=runtime, payload=message(), approvals="wait"):
        if isinstance(event, letta.ApprovalRequested):
            answer: Any = {
                "kind": "approval_response",
                "request_id": event.request_id,
                "decision": deny("no").to_dict(),
            }
            client.input(runtime=runtime, payload=answer)
        if isinstance(event, letta.ApprovalDecided):
            decisions.append(event.decision)
    assert decisions == ["deny"]


async def test_raise(asking: MockServer, client: AppServerClient) -> None:
    runtime = await start(client)
    finished = frame_seen(client, "turn_finished")
    with pytest.raises(letta.ApprovalRequired) as caught:
        await client.run_turn(runtime=runtime, payload=message(), approvals="raise")
    request = caught.value.request
    assert request is not None
    assert (request.tool_name, request.runtime) == ("Bash", runtime)
    assert caught.value.result is not None
    assert caught.value.result.status == "requires_approval"
    # The turn goes on when it is answered.
    caught.value.respond(allow())
    await finished.wait()
    turn = client.send_turn(runtime=runtime, payload=message(), approvals="raise")
    with pytest.raises(letta.ApprovalRequired) as caught:
        await turn
    assert turn.status == "requires_approval"
    again = frame_seen(client, "turn_finished")
    caught.value.respond(allow().to_dict())
    await again.wait()
    assert answers(asking) == [{"behavior": "allow"}] * 2


async def test_copies_of_what_is_raised_answer_nobody(client: AppServerClient) -> None:
    with pytest.raises(letta.ApprovalRequired) as caught:
        await run(client, "raise")
    error = caught.value
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301
        assert (str(again), again.request) == (str(error), error.request)
        assert again.result == error.result
        with pytest.raises(letta.InvalidOption, match="respond: "):
            again.respond(allow())
    error.respond(allow())


async def test_an_undecided_permission_has_a_limit_of_its_own(
    asking: MockServer, client: AppServerClient
) -> None:
    with pytest.raises(letta.TurnIdleTimeout, match="was left undecided"):
        await run(client, "wait", approval_timeout=0.05)
    asking.assert_received("abort_message", times=1)


@pytest.mark.parametrize("approvals", ["pause", "wait", "raise"])
async def test_a_handler_of_the_client(client: AppServerClient, approvals: str) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[tuple[str, str]] = []

    def decide(request: ApprovalRequest) -> Decision:
        seen.append((request.tool_name, variable.get()))
        return allow()

    variable.set("registered")
    off = client.on_approval_request(decide)
    variable.set("later")
    result = await run(client, approvals)
    assert (result.status, result.text) == ("completed", "done")
    assert seen == [("Bash", "registered")]
    off()
    off()
    assert (await run(client, "pause")).status == "requires_approval"
    assert len(seen) == 1


async def test_the_nearest_handler_is_asked(client: AppServerClient) -> None:
    asked: list[str] = []

    def handler(name: str) -> Callable[[ApprovalRequest], Decision]:
        def decide(_: ApprovalRequest) -> Decision:
            asked.append(name)
            return allow()

        return decide

    runtime, other = await start(client), await start(client)
    client.on_approval_request(handler("this"), runtime=runtime)
    client.on_approval_request(handler("all"))
    for scope in (runtime, other):
        await client.run_turn(runtime=scope, payload=message())
    await client.run_turn(runtime=runtime, payload=message(), approvals=handler("turn"))
    await client.run_turn(runtime=runtime, payload=message(), approvals="deny")
    assert asked == ["this", "all", "turn"]


@pytest.mark.parametrize("by", ["the handler", "others"])
async def test_removing_a_handler_passes_its_question_on(
    asking: MockServer, client: AppServerClient, by: str
) -> None:
    asked, cancelled = anyio.Event(), anyio.Event()

    async def first(request: ApprovalRequest) -> Decision:
        asked.set()
        if by == "the handler":
            off()
        try:
            await anyio.sleep_forever()
        finally:
            assert request.cancelled.is_set()
            cancelled.set()
        return deny("never")

    client.on_approval_request(lambda _: allow())
    off = client.on_approval_request(first)
    turn = client.send_turn(runtime=await start(client), payload=message(), approvals="pause")
    await asked.wait()
    if by == "others":
        off()
    result = await turn
    await cancelled.wait()
    assert result.tool_calls[0].output == "a.py"
    assert [answer["behavior"] for answer in answers(asking)] == ["allow"]
    assert client.stats.handler_errors == 0


async def test_what_a_thread_answers_after_its_handler_is_removed_does_not_count(
    asking: MockServer, client: AppServerClient
) -> None:
    def first(_: ApprovalRequest) -> Decision:
        off()
        return deny("it has gone")

    client.on_approval_request(lambda _: allow())
    off = client.on_approval_request(first)
    result = await run(client, "pause")
    assert result.tool_calls[0].output == "a.py"
    assert [answer["behavior"] for answer in answers(asking)] == ["allow"]


async def test_a_question_whose_only_handler_is_removed_is_decided_as_without_one(
    client: AppServerClient,
) -> None:
    async def only(_: ApprovalRequest) -> Decision:
        off()
        await anyio.sleep_forever()
        return deny("never")

    off = client.on_approval_request(only)
    assert (await run(client, "pause")).status == "requires_approval"


async def test_a_handler_that_has_answered_holds_no_question(
    asking: MockServer, client: AppServerClient
) -> None:
    off = client.on_approval_request(lambda _: allow())
    runtime = await start(client)
    await client.run_turn(runtime=runtime, payload=message())
    (approver,) = client._approvals._handlers.values()
    assert approver.open == set()
    off()
    assert len(answers(asking)) == 1


async def test_a_handler_that_is_removed_before_it_hears_of_a_question_leaves_it_to_others(
    client: AppServerClient,
) -> None:
    def seen(_: letta.Message, __: str) -> None:
        off()

    client.on_message(seen, types=["control_request"])
    client.on_approval_request(lambda _: allow())
    off = client.on_approval_request(lambda _: deny("it has gone"))
    result = await run(client, "pause")
    assert result.tool_calls[0].output == "a.py"


async def test_a_detached_turn_asks_the_client(client: AppServerClient) -> None:
    finished = frame_seen(client, "turn_finished")
    asked: list[str] = []
    runtime = await start(client)

    async def of_the_turn(_: ApprovalRequest) -> Decision:
        turn.detach()
        await anyio.sleep_forever()
        return deny("never")

    def of_the_client(request: ApprovalRequest) -> Decision:
        asked.append(request.tool_name)
        return allow()

    client.on_approval_request(of_the_client)
    turn = client.send_turn(runtime=runtime, payload=message(), approvals=of_the_turn)
    await finished.wait()
    assert asked == ["Bash"]


async def test_what_cannot_be_registered(client: AppServerClient) -> None:
    with pytest.raises(TypeError, match="on_approval_request: expected a function, got str"):
        client.on_approval_request("allow")  # type: ignore[arg-type]
    for runtime in ("conv", {}, {"agent_id": "a"}, {"agent_id": "a", "conversation_id": 3}):
        with pytest.raises(letta.InvalidOption, match=r"^runtime"):
            client.on_approval_request(lambda _: allow(), runtime=runtime)  # type: ignore[arg-type]
    assert (await run(client, "pause")).status == "requires_approval"
