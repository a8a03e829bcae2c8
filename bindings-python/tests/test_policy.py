"""Rules that decide on permissions, and the record of what was decided."""

from __future__ import annotations

import dataclasses
import functools
import gc
import json
import pickle
import re
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import ApprovalRequest, Decision, policy
from letta_app_client._jobs import _drop
from letta_app_client.testing import MockServer, script
from tests.helpers import message, start

pytestmark = pytest.mark.anyio

ALLOWED = letta.allow()


def request(tool: str, **arguments: Any) -> ApprovalRequest:
    fields = {"subtype": "can_use_tool", "tool_name": tool, "input": arguments}
    frame = {"type": "control_request", "request_id": "perm-1", "request": fields}
    return ApprovalRequest(json.dumps(frame))


def decided(rules: policy.Rule, tool: str, **arguments: Any) -> Any:
    return rules(request(tool, **arguments))


def behavior(rules: policy.Rule, tool: str, **arguments: Any) -> str:
    answer = decided(rules, tool, **arguments)
    assert isinstance(answer, Decision)
    return answer.behavior


def test_tools_by_name() -> None:
    rules = policy.first_match(policy.allow("Read", "Grep"))
    assert decided(rules, "Read", path="x") == ALLOWED
    assert decided(rules, "Grep") == ALLOWED
    for other in ("read", "ReadAll", "Bash", ""):
        assert decided(rules, other) == letta.deny(f"no rule of the policy allows {other}")


def test_all_tools_are_allowed_by_saying_so() -> None:
    assert behavior(policy.allow_all(), "Anything") == "allow"
    assert behavior(policy.first_match(policy.deny("Bash"), policy.allow_all()), "Bash") == "deny"
    assert behavior(policy.first_match(policy.deny(), policy.allow_all()), "Anything") == "deny"


def test_a_policy_can_be_pickled() -> None:
    rules = policy.first_match(
        policy.allow("Read", path="^/project/"),
        policy.deny("Bash"),
        policy.deny("Write", message="not here"),
        policy.first_match(policy.ask(sample, "Ask"), otherwise=letta.deny("nothing else")),
    )
    loaded = pickle.loads(pickle.dumps(rules))  # noqa: S301
    assert repr(loaded) == repr(rules)
    for tool in ("Read", "Bash", "Write", "Ask", "Other"):
        for arguments in ({}, {"path": "/project/x"}):
            assert decided(loaded, tool, **arguments) == decided(rules, tool, **arguments)


def sample(_: ApprovalRequest) -> Decision:
    return ALLOWED


def test_a_list_of_names_that_is_empty_allows_nothing() -> None:
    names: list[str] = []
    for patterns in ({}, {"command": "^ls$"}):
        with pytest.raises(letta.InvalidOption, match=r"^allow: .*allow_all"):
            policy.allow(*names, **patterns)
    with pytest.raises(letta.InvalidOption, match=r"^otherwise: .*allow_all"):
        policy.first_match(otherwise=policy.allow)


def test_the_first_rule_that_matches_decides() -> None:
    rules = policy.first_match(
        policy.deny("Bash", command=r"\bsudo\b", message="not as root"),
        policy.allow("Bash", command=r"^(pytest|ruff)\b"),
        policy.deny("Bash"),
        policy.allow_all(),
    )
    assert decided(rules, "Bash", command="pytest; sudo ls") == letta.deny("not as root")
    assert decided(rules, "Bash", command="pytest -q") == ALLOWED
    assert decided(rules, "Bash", command="xpytest") == letta.deny(
        "a rule of the policy denies Bash"
    )
    assert decided(rules, "Write", command="sudo") == ALLOWED


def test_every_pattern_has_to_be_found_in_text() -> None:
    rule = policy.allow("Write", path=re.compile("^SRC/", re.IGNORECASE), content="x")
    assert rule.matches(request("Write", path="src/a", content="axb"))
    assert not rule.matches(request("Write", path="lib/src/a", content="axb"))
    assert not rule.matches(request("Write", path="src/a", content="ab"))
    assert not rule.matches(request("Write", path="src/a"))
    for value in (None, 1, ["x"], {"x": "x"}):
        assert not rule.matches(request("Write", path="src/a", content=value))
    everything = policy.deny(path="")
    assert everything.matches(request("Other", path=""))
    assert not everything.matches(request("Other"))
    odd = policy.allow("Other", **{"file-path": "^a"})
    assert odd.matches(request("Other", **{"file-path": "ab"}))


def test_arguments_that_are_no_object_match_no_pattern() -> None:
    frame = {"type": "control_request", "request": {"tool_name": "Bash", "input": "ls"}}
    odd = ApprovalRequest(json.dumps(frame))
    assert not policy.allow("Bash", command="ls").matches(odd)
    assert policy.allow("Bash").matches(odd)


def test_a_rule_alone_denies_what_it_does_not_match() -> None:
    assert behavior(policy.allow("Read"), "Read") == "allow"
    assert decided(policy.allow("Read"), "Bash") == letta.deny("no rule of the policy allows Bash")
    assert behavior(policy.deny("Read"), "Bash") == "deny"


def of_the_user(asked: ApprovalRequest) -> Decision:
    return letta.allow(message=f"for {asked.tool_name}")


@pytest.mark.parametrize(
    ("otherwise", "expected"),
    [
        (policy.deny, letta.deny("no rule of the policy allows Bash")),
        (policy.allow_all, ALLOWED),
        (policy.allow_all(), ALLOWED),
        (policy.deny(message="no"), letta.deny("no")),
        (policy.first_match(policy.allow("Bash")), ALLOWED),
        (letta.deny("never"), letta.deny("never")),
        (letta.allow(), ALLOWED),
        (of_the_user, letta.allow(message="for Bash")),
        (policy.ask(of_the_user), letta.allow(message="for Bash")),
        (policy.allow("Read"), letta.deny("no rule of the policy allows Bash")),
    ],
)
def test_what_decides_where_no_rule_does(otherwise: Any, expected: Decision) -> None:
    assert (
        decided(policy.first_match(policy.allow("Grep"), otherwise=otherwise), "Bash") == expected
    )


def test_policies_as_rules() -> None:
    inner = policy.first_match(policy.allow("Read"))
    outer = policy.first_match(policy.allow("Bash"), inner, policy.allow_all())
    assert behavior(outer, "Bash") == "allow"
    assert behavior(outer, "Read") == "allow"
    assert behavior(outer, "Write") == "deny"


def test_rules_say_what_they_are() -> None:
    rules = policy.first_match(
        policy.allow("Read", "Grep"),
        policy.deny(command="rm"),
        policy.ask(of_the_user, "Bash"),
        policy.ask(functools.partial(of_the_user)),
        otherwise=letta.allow(),
    )
    assert repr(rules) == (
        "first_match(allow('Grep', 'Read'), deny(command='rm'), ask(of_the_user, 'Bash'), "
        "ask(of_the_user), otherwise=otherwise allow)"
    )


def test_what_is_no_rule() -> None:
    with pytest.raises(letta.InvalidOption, match=r"^command: not a regular expression: "):
        policy.allow("Bash", command="(")
    with pytest.raises(
        TypeError, match=r"^command: expected a regular expression as text, got int"
    ):
        policy.deny("Bash", command=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"expected a regular expression as text, got Pattern"):
        policy.deny("Bash", command=re.compile(b"x"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^allow: expected names of tools, got list"):
        policy.allow(["Bash"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^message: expected text"):
        policy.deny(message=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^ask: expected a function, got str"):
        policy.ask("deny")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^first_match: expected rules, got function"):
        policy.first_match(of_the_user)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^ask: expected a function, got str"):
        policy.first_match(otherwise="deny")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^Audit: expected a function, got str"):
        policy.Audit("deny")  # type: ignore[arg-type]


def test_an_audit_keeps_what_was_decided() -> None:
    before = datetime.now(timezone.utc)
    rules = policy.first_match(policy.allow("Read"), policy.ask(of_the_user, "Bash"))
    audit = policy.Audit(rules)
    assert audit(request("Read", path="x")) == ALLOWED
    audit(request("Bash", command="ls"))
    audit(request("Write"))
    after = datetime.now(timezone.utc)
    assert [entry.tool_name for entry in audit] == ["Read", "Bash", "Write"]
    assert [entry.by for entry in audit] == [
        "allow('Read')",
        "ask(of_the_user, 'Bash')",
        "otherwise deny",
    ]
    first, second, third = audit
    assert first.input == {"path": "x"}
    assert first.decision == {"behavior": "allow"}
    assert second.decision == {"behavior": "allow", "message": "for Bash"}
    assert third.decision is not None
    assert third.decision.behavior == "deny"
    assert all(entry.error is None and entry.request_id == "perm-1" for entry in audit)
    assert before <= first.time <= second.time <= third.time <= after
    assert len(audit) == 3
    assert audit[-1] is third
    assert audit[:2] == (first, second)
    assert repr(audit).endswith("3 entries)")


def test_entries_of_an_audit_cannot_be_changed() -> None:
    updated = {"command": ["ls"]}
    audit = policy.Audit(lambda _: letta.allow(updated_input=updated))
    asked = request("Bash", command="rm")
    audit(asked)
    updated["command"].append("-l")
    asked.raw["request"]["input"]["command"] = "other"
    (entry,) = audit
    assert entry.input == {"command": "rm"}
    assert entry.decision is not None
    assert entry.decision["updated_input"] == {"command": ["ls"]}
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry.by = "somebody"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        entry.input.command = "x"


def test_an_audit_of_a_function() -> None:
    def fails(_: ApprovalRequest) -> Decision:
        raise LookupError("no rule")

    audit = policy.Audit(fails)
    with pytest.raises(LookupError):
        audit(request("Bash"))
    (entry,) = audit
    assert (entry.decision, entry.error) == (None, "LookupError: no rule")
    assert entry.by == "test_an_audit_of_a_function.<locals>.fails"
    mappings = policy.Audit(lambda _: {"behavior": "deny", "message": "no"}, by="me")
    mappings(request("Bash"))
    assert mappings[0].by == "me"
    assert mappings[0].decision == {"behavior": "deny", "message": "no"}
    nothing = policy.Audit(lambda _: None)  # type: ignore[arg-type, return-value]
    nothing(request("Bash"))
    assert (nothing[0].decision, nothing[0].error) == (None, "NoneType is not a decision")


def test_an_audit_is_used_by_many_threads() -> None:
    audit = policy.Audit(policy.allow_all())
    asked = request("Bash")
    threads = [
        threading.Thread(target=lambda: [audit(asked) for _ in range(100)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(audit) == 800


@pytest.fixture
def asking(scripted: Callable[..., MockServer]) -> MockServer:
    names = ("Read", "Bash", "Write")
    calls = [script.call(name, {"x": name}, needs_approval=True) for name in names]
    return scripted(script.turn("done", tool_calls=calls))


async def run(mock: MockServer, approvals: Any) -> list[str | None]:
    """The statuses of the three calls."""
    async with letta.connect(mock.url) as client:
        runtime = await start(client)
        with anyio.fail_after(10):
            result = await client.run_turn(runtime=runtime, payload=message(), approvals=approvals)
    return [call.status for call in result.tool_calls]


async def test_a_policy_decides_on_a_turn(asking: MockServer) -> None:
    threads: list[int] = []

    async def on_the_loop(asked: ApprovalRequest) -> Decision:
        await anyio.lowlevel.checkpoint()
        threads.append(threading.get_ident())
        return letta.allow(updated_input={**asked.input, "y": 1})

    rules = policy.first_match(policy.allow("Read", x="^R"), policy.ask(on_the_loop, "Bash"))
    audit = policy.Audit(rules)
    assert await run(asking, audit) == ["success", "success", "error"]
    assert threads == [threading.get_ident()]
    assert [entry.tool_name for entry in audit] == ["Read", "Bash", "Write"]
    assert audit[1].decision == {"behavior": "allow", "updated_input": {"x": "Bash", "y": 1}}
    sent = [
        frame.payload.raw["decision"]["behavior"]
        for frame in asking.received
        if frame.type == "input" and frame.payload.kind == "approval_response"
    ]
    assert sent == ["allow", "allow", "deny"]


async def test_a_plain_function_is_asked_in_a_thread(asking: MockServer) -> None:
    threads: list[int] = []

    def decide(_: ApprovalRequest) -> Decision:
        threads.append(threading.get_ident())
        return letta.allow()

    assert await run(asking, policy.first_match(policy.ask(decide))) == ["success"] * 3
    assert len(threads) == 3
    assert threading.get_ident() not in threads


async def test_a_function_that_fails_denies_and_is_kept(asking: MockServer) -> None:
    async def fails(_: ApprovalRequest) -> Decision:
        await anyio.lowlevel.checkpoint()
        raise LookupError("no rule")

    audit = policy.Audit(policy.first_match(policy.ask(fails)))
    assert await run(asking, audit) == ["error"] * 3
    assert [entry.error for entry in audit] == ["LookupError: no rule"] * 3
    assert {entry.decision for entry in audit} == {None}


WORDS: Any = "selected_permission_suggestion_ids"


@pytest.mark.parametrize(
    ("decision", "reason"),
    [
        (letta.allow(updated_input={"a": [float("nan")]}), "finite number"),
        (letta.allow(updated_input={1: 2}), "expected text as key"),  # type: ignore[dict-item]
        ({"behavior": "x"}, "behavior"),
        ({"behavior": []}, "behavior"),
        ({"behavior": "deny"}, "message"),
        ({"behavior": "allow", "message": 3}, "message"),
        ({"behavior": "allow", "updated_input": []}, "updated_input"),
        ({"behavior": "allow", WORDS: [3]}, WORDS),
        ({"behavior": "allow", "updated_input": None, "other": 3}, "`other`: is no field"),
        ({"behavior": "allow", "updated_input": None, "message": "yes"}, None),
    ],
)
async def test_what_is_kept_is_what_counts(
    scripted: Callable[..., MockServer], decision: Any, reason: str | None
) -> None:
    call = script.call("Read", needs_approval=True)
    audit = policy.Audit(lambda _: decision)
    (status,) = await run(scripted(script.turn(tool_calls=[call])), audit)
    (entry,) = audit
    if reason is None:
        assert (status, entry.decision, entry.error) == ("success", decision, None)
    else:
        assert (status, entry.decision) == ("error", None)
        assert reason in (entry.error or "")


async def test_an_abort_is_kept(asking: MockServer) -> None:
    called = anyio.Event()

    async def hangs(_: ApprovalRequest) -> Decision:
        called.set()
        await anyio.sleep_forever()
        return letta.allow()

    audit = policy.Audit(policy.first_match(policy.ask(hangs)))
    kept = anyio.Event()

    async def watched(asked: ApprovalRequest) -> Any:
        answer: Any = audit(asked)
        try:
            return await answer
        finally:
            kept.set()

    async with letta.connect(asking.url) as client:
        runtime = await start(client)
        turn = client.send_turn(runtime=runtime, payload=message(), approvals=watched)
        with anyio.fail_after(10):
            await called.wait()
            assert (await turn.abort()).status == "aborted"
            await kept.wait()
    (entry,) = audit
    assert entry.decision is None
    assert entry.error is not None
    assert entry.error.startswith("too late: ")


async def test_an_allowance_that_comes_too_late_is_kept_as_that(asking: MockServer) -> None:
    called, kept = anyio.Event(), anyio.Event()

    def decide(asked: ApprovalRequest) -> Decision:
        anyio.from_thread.run_sync(called.set, token=token)
        assert asked.cancelled.wait(10)
        return letta.allow()

    audit = policy.Audit(decide)

    def watched(asked: ApprovalRequest) -> Any:
        answer = audit(asked)
        anyio.from_thread.run_sync(kept.set, token=token)
        return answer

    token = anyio.lowlevel.current_token()
    async with letta.connect(asking.url) as client:
        runtime = await start(client)
        turn = client.send_turn(runtime=runtime, payload=message(), approvals=watched)
        with anyio.fail_after(10):
            await called.wait()
            assert (await turn.abort()).status == "aborted"
            await kept.wait()
    (entry,) = audit
    assert entry.decision is None
    assert entry.error == "too late: nobody is waiting for the answer any more (allow)"


async def test_what_somebody_else_answered_first_is_kept_as_that(asking: MockServer) -> None:
    kept = anyio.Event()
    token = anyio.lowlevel.current_token()

    def decide(asked: ApprovalRequest) -> Decision:
        if asked.tool_name != "Read":
            return letta.deny("no")
        payload: letta.protocol.InputApprovalResponsePayload = {
            "kind": "approval_response",
            "request_id": asked.request_id,
            "decision": {"behavior": "deny", "message": "the other one says no"},
        }
        anyio.from_thread.run_sync(
            lambda: client.input(runtime=asked.runtime, payload=payload), token=token
        )
        assert asked.cancelled.wait(10)
        return letta.allow()

    audit = policy.Audit(decide)

    def watched(asked: ApprovalRequest) -> Any:
        answer = audit(asked)
        if asked.tool_name == "Read":
            anyio.from_thread.run_sync(kept.set, token=token)
        return answer

    async with letta.connect(asking.url) as client:
        runtime = await start(client)
        with anyio.fail_after(20):
            result = await client.run_turn(runtime=runtime, payload=message(), approvals=watched)
            await kept.wait()
    assert result.tool_calls[0].output == "the other one says no"
    (entry,) = [entry for entry in audit if entry.tool_name == "Read"]
    assert (entry.decision, entry.error is None) == (None, False)
    assert str(entry.error).startswith("too late: ")


async def test_an_answer_that_nobody_awaits_leaves_no_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    begun = False

    async def later(_request: ApprovalRequest) -> Decision:
        nonlocal begun
        begun = True
        return letta.allow()

    audit = policy.Audit(later)
    _drop(audit(request("Bash")))
    gc.collect()
    assert not begun
    assert not recwarn.list
    assert not audit
