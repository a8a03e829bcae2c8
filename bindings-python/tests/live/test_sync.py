"""The real server without an event loop: what blocks, what is followed, what is called back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from letta_app_client import ApprovalRequest, Decision
from letta_app_client import sync as letta
from tests.live.support import call, touch

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def client(live: dict[str, Any]) -> Iterator[letta.AppServerClient]:
    with letta.connect(live["url"]) as client:
        yield client


def begun(client: letta.AppServerClient, live: dict[str, Any], **options: Any) -> letta.Session:
    body = {"name": "live", "memory_blocks": [], "model": live["model"]}
    agent = {"body": body, "pin_global": False}
    return client.session(create_agent=agent, cwd=live["cwd"], **options)


def test_turns_one_after_the_other(client: letta.AppServerClient, live: dict[str, Any]) -> None:
    with begun(client, live) as session:
        assert session.cwd_ignored is False
        assert session.run("N=3").text == "tok0 tok1 tok2 "
        assert "".join(session.stream_text("N=2")) == "tok0 tok1 "
        events = list(session.stream("N=1"))
        assert isinstance(events[-1], letta.TurnFinished)
        assert [m["message_type"] for m in session.messages()].count("user_message") == 3
        fork = session.fork()
        assert fork.conversation_id != session.conversation_id
        assert fork.run("N=1").status == "completed"


def test_tools_and_permissions(client: letta.AppServerClient, live: dict[str, Any]) -> None:
    asked: list[str] = []

    async def lookup(q: str) -> str:
        """Looks it up."""
        return f"found {q}"

    def decide(request: ApprovalRequest) -> Decision:
        asked.append(request.tool_name)
        return letta.allow()

    session = begun(client, live, tools=[lookup], approvals=decide)
    (tool,) = session.run(f"N=1 {call('lookup', q='x')}").tool_calls
    assert tool.status == "success"
    assert "found x" in (tool.output or "")
    (tool,) = session.run(f"N=1 {touch('made.txt')}").tool_calls
    assert tool.status == "success"
    assert asked == ["lookup", "Bash"]


def test_a_terminal_and_a_watched_file(client: letta.AppServerClient, tmp_path: Path) -> None:
    path = tmp_path / "watched.txt"
    path.write_text("one")
    with (
        client.files.changes(str(path)) as changes,
        client.terminals.open(cwd=str(tmp_path)) as terminal,
    ):
        terminal.write("echo hel''lo > watched.txt; cat watched.txt\n")
        said = ""
        while "hello" not in said:
            said += next(terminal)
        # Not before: of a shell that ends at once the server may lose the output.
        terminal.write("exit 3\n")
        for _ in terminal:
            pass
        assert terminal.exit_code == 3
        assert next(changes).path == str(path)


def test_threads_with_a_conversation_each(
    client: letta.AppServerClient, live: dict[str, Any]
) -> None:
    def work(number: int) -> str:
        return begun(client, live).run(f"N={number}").text

    with ThreadPoolExecutor(4) as pool:
        texts = list(pool.map(work, [1, 2, 3, 4]))
    assert [len(text.split()) for text in texts] == [1, 2, 3, 4]


def test_a_stopped_turn(client: letta.AppServerClient, live: dict[str, Any]) -> None:
    session = begun(client, live)
    turn = session.send("N=200 DELAY=50")
    for _ in turn.stream_text():
        break
    assert turn.result().status == "aborted"
    assert session.run("N=1").text == "tok0 "
