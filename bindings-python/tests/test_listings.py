from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import letta_app_client as letta
from letta_app_client import Message, protocol
from letta_app_client._decode import decode
from letta_app_client._json import encode
from letta_app_client._link import Check
from letta_app_client.listings import Agents, Conversations, Cron
from tests.protocol import StubLink

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


class Pages(StubLink):
    """Answers one request after the other."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        super().__init__()
        self._pages = list(pages)

    async def request(self, command: Any, *_: Any, check: Check = "catalog", **__: Any) -> Message:
        self.send(command, check)
        return decode(encode(self._pages.pop(0)))


def stored(ids: Sequence[str], **more: Any) -> dict[str, Any]:
    messages = [{"id": one, "message_type": "user_message"} for one in ids]
    return {"type": "conversation_messages_list_response", "messages": messages, **more}


async def ids(link: Pages, **options: Any) -> list[str]:
    return [message.id async for message in Conversations(link).messages("conv-1", **options)]


async def test_messages_of_a_server_that_says_whether_there_is_more() -> None:
    link = Pages(
        stored(["5", "4"], next_before="4", has_more=True),
        # Set on the last page as well (protocol section 19).
        stored(["3"], next_before="3", has_more=False),
    )
    assert await ids(link, page_size=2) == ["5", "4", "3"]
    assert [frame["query"] for frame in link.sent_frames] == [
        {"limit": 2},
        {"limit": 2, "before": "4"},
    ]


async def test_messages_of_a_server_that_does_not() -> None:
    assert await ids(Pages(stored(["2"]), stored(["1"]), stored([]))) == ["2", "1"]
    assert await ids(Pages(stored(["2"]), stored(["2"]))) == ["2"]
    assert await ids(Pages(stored([])), before="1") == []


async def test_leaving_asks_for_no_more() -> None:
    link = Pages(stored(["2", "1"], has_more=True))
    async for message in Conversations(link).messages("conv-1"):
        assert message.id == "2"
        break
    assert len(link.sent_frames) == 1


def runs(jobs: Sequence[str], offset: int, following: int | None) -> dict[str, Any]:
    page = {
        "entries": [{"ts": 1, "jobId": job, "action": "finished"} for job in jobs],
        "total": 3,
        "offset": offset,
        "limit": 2,
        "hasMore": following is not None,
        "nextOffset": following,
    }
    return {"type": "cron_runs_response", "success": True, "page": page}


async def test_all_runs() -> None:
    link = Pages(runs(["a", "b"], 0, 2), runs(["c"], 2, None))
    entries = [entry async for entry in Cron(link).all_runs("task-1", page_size=2)]
    assert [entry.jobId for entry in entries] == ["a", "b", "c"]
    assert {type(entry) for entry in entries} == {protocol.CronRunLogEntry}
    assert [frame["offset"] for frame in link.sent_frames] == [0, 2]


async def test_runs_that_lead_nowhere() -> None:
    empty = {"type": "cron_runs_response", "success": True}
    assert [entry async for entry in Cron(Pages(empty)).all_runs("task-1")] == []
    circle = [entry async for entry in Cron(Pages(runs(["a"], 0, 0))).all_runs("task-1")]
    assert len(circle) == 1


@pytest.mark.parametrize(
    ("family", "kind", "field"),
    [(Agents, "agent_list", "agents"), (Conversations, "conversation_list", "conversations")],
)
async def test_whole_lists(family: type[Agents | Conversations], kind: str, field: str) -> None:
    def page(*ids: str) -> dict[str, Any]:
        return {"type": f"{kind}_response", field: [{"id": one} for one in ids]}

    link = Pages(page("3", "2"), page("1"), page())
    found = [one.id async for one in family(link).all(query={"x": 1}, page_size=2)]
    assert found == ["3", "2", "1"]
    assert [frame["query"] for frame in link.sent_frames] == [
        {"x": 1, "limit": 2},
        {"x": 1, "limit": 2, "after": "2"},
        {"x": 1, "limit": 2, "after": "1"},
    ]
    # A server that does not know `after`.
    again = Pages(page("3", "2"), page("3", "2"))
    assert [one.id async for one in family(again).all()] == ["3", "2"]


async def test_bad_page_sizes() -> None:
    bad: Any
    for bad in (0, True, "7"):
        for pages in (
            Agents(Pages()).all(page_size=bad),
            Conversations(Pages()).messages("c", page_size=bad),
            Cron(Pages()).all_runs("t", page_size=bad),
        ):
            with pytest.raises(letta.InvalidOption, match="page_size"):
                await anext(pages)
