"""Agents, conversations, models, memory and schedules of the real server, by their methods."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient, protocol
from tests.helpers import message
from tests.live.support import connected, start

# What differs between event loops is covered by the tests without the real server.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(120),
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
]


async def new_agent(client: AppServerClient, live: dict[str, Any]) -> str:
    """Makes an agent and returns its id."""
    body = {"name": "families", "model": live["model"], "memory_blocks": []}
    created = await client.agents.create(body=body)
    assert created.agent.name == "families"
    return str(created.agent.id)


async def test_agents(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        agent_id = await new_agent(client, live)
        listed = await client.agents.list(query={"limit": 50})
        assert agent_id in [agent.id for agent in listed.agents]
        assert agent_id in [agent.id async for agent in client.agents.all(page_size=1)]
        changed = await client.agents.update(agent_id=agent_id, body={"description": "changed"})
        assert changed.agent.description == "changed"
        assert (await client.agents.retrieve(agent_id=agent_id)).agent.name == "families"
        assert (await client.agents.delete(agent_id=agent_id)).agent_id == agent_id
        with pytest.raises(letta.RequestError, match="not found") as caught:
            await client.agents.retrieve(agent_id=agent_id)
        refused = caught.value.response
        assert isinstance(refused, protocol.AgentRetrieveResponseMessage)
        assert refused.agent is None
        preset = await client.agents.create_from_preset(
            personality="blank", model=live["model"], pin_global=False
        )
        assert preset.agent_id is not None
        await client.agents.delete(agent_id=preset.agent_id)


async def test_conversations(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        agent_id = await new_agent(client, live)
        created = await client.conversations.create(body={"agent_id": agent_id})
        conversation_id = created.conversation.id
        listed = await client.conversations.list(query={"agent_id": agent_id})
        assert conversation_id in [one.id for one in listed.conversations]
        changed = await client.conversations.update(
            conversation_id=conversation_id, body={"summary": "about families"}
        )
        assert changed.conversation.summary == "about families"
        found = await client.conversations.retrieve(conversation_id=conversation_id)
        assert found.conversation.agent_id == agent_id
        for _ in range(2):
            await client.conversations.create(body={"agent_id": agent_id})
        mine = client.conversations.all(query={"agent_id": agent_id}, page_size=2)
        assert len([one async for one in mine]) == 3
        forked = await client.conversations.fork(conversation_id=conversation_id)
        assert forked.conversation is not None
        assert forked.conversation.id != conversation_id


async def test_stored_messages_page_by_page(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        for _ in range(2):
            await client.run_turn(runtime=runtime, payload=message("N=1"))
        stored = client.conversations.messages
        whole = [one.id async for one in stored(runtime.conversation_id)]
        paged = [one.id async for one in stored(runtime.conversation_id, page_size=1)]
        assert len(whole) >= 4
        assert paged == whole
        rest = [one.id async for one in stored(runtime.conversation_id, before=whole[0])]
        assert rest == whole[1:]
        # An agent's default conversation is known by its agent alone.
        session = await client.session(agent_id=runtime.agent_id, conversation_id="default")
        await session.run("N=1")
        kinds = [one.message_type async for one in session.messages()]
        assert kinds == ["assistant_message", "user_message"]


async def test_models(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        models = await client.models.list(force=True)
        assert live["model"] in (models.available_handles or [])
        updated = await client.models.update(
            runtime=runtime, payload={"model_handle": live["model"]}
        )
        assert updated.model_handle == live["model"]
        toolset = await client.models.update_toolset(runtime=runtime, toolset_preference="default")
        assert toolset.current_toolset_preference == "default"
        providers = await client.providers.list(target="local")
        assert all(entry.display_name for entry in providers.providers)


async def test_memory(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        agent_id = await new_agent(client, live)
        await client.memory.enable(agent_id=agent_id)
        # More than the server puts into one frame.
        names = [f"notes/file-{number}.md" for number in range(7)]
        for name in names:
            content = f"---\ndescription: {name}\n---\ntext\n"
            written = await client.memory.write(agent_id=agent_id, path=name, content=content)
            assert written.committed is True
        listed = await client.memory.list(agent_id=agent_id)
        assert sorted(entry.relative_path for entry in listed.entries) == names
        assert (listed.total, listed.done) == (7, True)
        read = await client.memory.read(agent_id=agent_id, path=names[0])
        assert (read.content or "").endswith("text\n")
        history = await client.memory.history(agent_id=agent_id, file_path=names[0])
        sha = history.commits[0].sha
        old = await client.memory.file_at_ref(agent_id=agent_id, file_path=names[0], ref=sha)
        assert old.content == read.content
        diff = await client.memory.commit_diff(agent_id=agent_id, sha=sha)
        assert "+text" in (diff.diff or "")
        deleted = await client.memory.delete(agent_id=agent_id, path=names[0])
        assert deleted.committed is True


async def test_cron(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        agent_id = runtime.agent_id
        added = await client.cron.add(
            agent_id=agent_id,
            conversation_id=runtime.conversation_id,
            name="families",
            description="a test",
            cron="0 5 1 1 *",
            recurring=True,
            prompt="N=1",
        )
        assert added.task is not None
        task_id = added.task.id
        assert [task.id for task in (await client.cron.list(agent_id=agent_id)).tasks] == [task_id]
        renamed = await client.cron.update(task_id=task_id, name="renamed")
        assert renamed.task is not None
        assert renamed.task.name == "renamed"
        async with client.messages("turn_finished", runtime=runtime) as finished:
            for _ in range(2):
                assert (await client.cron.trigger(task_id=task_id)).found
                with anyio.fail_after(30):
                    await anext(finished)
        entries = [entry async for entry in client.cron.all_runs(task_id, page_size=1)]
        assert [entry.jobId for entry in entries] == [task_id, task_id]
        assert (await client.cron.get(task_id=task_id)).found
        assert (await client.cron.delete(task_id=task_id)).found
        assert (await client.cron.get(task_id=task_id)).task is None
        assert (await client.cron.delete_all(agent_id=agent_id)).deleted == 0
