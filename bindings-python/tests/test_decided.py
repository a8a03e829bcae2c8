"""What a session keeps of the decisions on permissions."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

import letta_app_client as letta
from letta_app_client._decided import MOST, MOST_BYTES, Decided
from letta_app_client.policy import AuditEntry
from letta_app_client.testing import MockServer, script

pytestmark = pytest.mark.anyio


def entry(number: int) -> AuditEntry:
    now = datetime.now(timezone.utc)
    return AuditEntry(now, "Write", letta.Fields({}), None, "me", request_id=str(number))


def kept(decided: Decided) -> list[int]:
    return [int(one.request_id) for one in decided.entries()]


def test_the_latest_are_kept_and_the_others_counted() -> None:
    decided = Decided()
    for number in range(MOST + 3):
        decided.add(entry(number), 100)
    assert kept(decided) == list(range(3, MOST + 3))
    assert decided.dropped == 3


def test_long_requests_go_sooner_but_the_last_one_stays() -> None:
    decided = Decided()
    for number in range(3):
        decided.add(entry(number), MOST_BYTES // 2 + 1)
    assert (kept(decided), decided.dropped) == ([2], 2)
    decided.add(entry(3), 1)
    assert kept(decided) == [2, 3]
    decided.add(entry(4), MOST_BYTES + 1)
    assert (kept(decided), decided.dropped) == ([4], 4)


async def test_a_session_says_how_many_went(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("letta_app_client._decided.MOST", 2)
    calls = [script.call(name, needs_approval=True) for name in ("Read", "Write", "Edit")]
    audit = letta.policy.Audit(letta.policy.allow_all())
    with MockServer([script.turn(tool_calls=calls)]) as mock:
        async with letta.connect(mock.url) as client:
            session = await client.session(agent_id="a", approvals=audit)
            await session.run("?")
    assert [one.tool_name for one in session.approvals] == ["Write", "Edit"]
    assert session.approvals_dropped == 1
    assert len(audit) == 3, "the program's own keeps all"
