"""Files, git, terminals, skills and settings of the real server, by their methods."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from tests.live.support import connected, start

# What differs between event loops is covered by the tests without the real server.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(120),
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
]


@pytest.fixture
def folder(live: dict[str, Any], request: pytest.FixtureRequest) -> Path:
    """A folder of the test's own where the server works."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    folder = Path(live["cwd"]) / name
    folder.mkdir()
    return folder


async def test_files(live: dict[str, Any], folder: Path) -> None:
    path = str(folder / "a.txt")
    async with connected(live) as client:
        await client.files.write(path=path, content="one\ntwo\nthree\n")
        assert (await client.files.read(path=path)).content == "one\ntwo\nthree\n"
        coded = await client.files.read(path=path, encoding="base64")
        assert coded.content == "b25lCnR3bwp0aHJlZQo="
        edited = await client.files.edit(file_path=path, old_string="two", new_string="2")
        assert (edited.replacements, edited.start_line) == (1, 2)
        grepped = await client.files.grep(query="thr", cwd=str(folder), context_lines=1)
        (match,) = grepped.matches
        assert (match.path, match.line, match.before) == ("a.txt", 3, ["2"])
        searched = await client.files.search(query="a.txt", cwd=str(folder))
        assert [entry.path for entry in searched.files] == ["a.txt"]
        listed = await client.files.list_directory(path=str(folder), include_files=True)
        assert (listed.files, listed.folders) == (["a.txt"], [])
        tree = await client.files.tree(path=str(folder), depth=1)
        assert [(entry.path, entry.type) for entry in tree.entries] == [("a.txt", "file")]
        with pytest.raises(letta.RequestError, match="ENOENT"):
            await client.files.read(path=str(folder / "missing"))


async def test_a_file_of_some_mebibytes(live: dict[str, Any], folder: Path) -> None:
    path, content = str(folder / "large.txt"), "äbc\n" * (1 << 20)
    async with connected(live) as client:
        await client.files.write(path=path, content=content)
        assert (await client.files.read(path=path)).content == content


async def test_the_directory_of_a_conversation(live: dict[str, Any], folder: Path) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        agent, conversation = runtime["agent_id"], runtime["conversation_id"]
        session = await client.session(agent_id=agent, conversation_id=conversation)
        (folder / "deep").mkdir()
        for _ in range(5):
            await session.set_cwd(folder)
            assert session.cwd == str(folder)
            await session.set_cwd(folder / "deep")
            assert (session.cwd, session.cwd_ignored) == (str(folder / "deep"), False)
        with pytest.raises(letta.RequestError, match="deep"):
            await session.set_cwd(folder / "missing")
        default = await client.session(agent_id=agent, conversation_id="default")
        fork = await default.fork()
        assert fork.conversation_id != "default"


async def test_changes_of_a_file(live: dict[str, Any], folder: Path) -> None:
    file = folder / "a.txt"
    file.write_text("one")
    async with connected(live) as client, client.files.changes(str(file)) as changes:
        # Commands of a connection begin in order; with this answer the file is watched.
        await client.files.read(path=str(file))
        file.write_text("two")
        with anyio.fail_after(20):
            change = await anext(changes)
        assert change.path == str(file)


async def test_git(live: dict[str, Any], folder: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)

    git("init", "--initial-branch=main")
    git("commit", "--allow-empty", "--message=first")
    async with connected(live) as client:
        await client.git.checkout(branch="topic", create=True, cwd=str(folder))
        found = await client.git.search_branches(query="", cwd=str(folder))
        current = {branch.name: branch.is_current for branch in found.branches}
        assert current == {"main": False, "topic": True}
        with pytest.raises(letta.RequestError, match="none"):
            await client.git.checkout(branch="none", cwd=str(folder))


async def test_a_terminal(live: dict[str, Any], folder: Path) -> None:
    async with connected(live) as client:
        async with client.terminals.open(cwd=str(folder)) as terminal:
            assert terminal.pid
            terminal.resize(100, 30)
            terminal.write("echo hel''lo\n")
            said, told = "", False
            with anyio.fail_after(30):
                async for text in terminal:
                    said += text
                    if "hello" in said and not told:
                        # Not before: of a shell that ends at once the server may lose the output.
                        terminal.write("exit 3\n")
                        told = True
        assert told
        assert terminal.exit_code == 3


async def test_a_killed_terminal(live: dict[str, Any]) -> None:
    async with connected(live) as client, client.terminals.open() as terminal:
        with anyio.fail_after(30):
            await anext(terminal)
            terminal.kill()
            async for _ in terminal:
                pass
        assert terminal.exit_code is None


async def test_skills(live: dict[str, Any], folder: Path) -> None:
    skill = folder / "families-skill"
    skill.mkdir()
    (skill / "SKILL.md").write_text("---\nname: families-skill\ndescription: a test\n---\nText.\n")
    async with connected(live) as client:
        enabled = await client.skills.enable(skill_path=str(skill))
        # Not the ``skill_name`` that its type definitions promise.
        assert enabled["name"] == "families-skill"
        disabled = await client.skills.disable(name="families-skill")
        assert disabled["name"] == "families-skill"
        with pytest.raises(letta.RequestError, match="not found"):
            await client.skills.disable(name="none")


async def test_settings(live: dict[str, Any], folder: Path) -> None:
    async with connected(live) as client:
        runtime = await start(client, live)
        before = await client.settings.get_reflection(runtime=runtime)
        assert before.reflection_settings is not None
        changed = await client.settings.set_reflection(
            runtime=runtime, settings={"trigger": "off", "step_count": 7}, scope="local_project"
        )
        assert changed.reflection_settings is not None
        assert (changed.reflection_settings.trigger, changed.scope) == ("off", "local_project")
        experiments = await client.settings.set_experiment(
            experiment_id="conversation_titles", enabled=False
        )
        states = {one.id: one.enabled for one in experiments.experiments}
        assert states["conversation_titles"] is False
        same = await client.settings.get_experiments()
        assert {one.id: one.enabled for one in same.experiments} == states
        directory = (await client.settings.get_cwd_map()).boot_working_directory
        set_now = await client.settings.set_boot_working_directory(cwd=str(folder))
        assert set_now.boot_working_directory == str(folder)
        await client.settings.set_boot_working_directory(cwd=directory or live["cwd"])


async def test_server_runtimes_secrets_and_teleport(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        info = await client.server.info()
        assert info.letta_code_version == live["version"]
        started = await client.runtimes.start(
            create_agent={
                "body": {"name": "families", "model": live["model"]},
                "pin_global": False,
            },
            create_conversation={"body": {}},
            mode="standard",
            cwd=live["cwd"],
        )
        runtime = started.runtime
        assert started.created.agent
        assert (await client.runtimes.sync(runtime=runtime)).runtime == runtime
        assert (await client.runtimes.abort(runtime=runtime)).aborted is False
        async with client.messages("update_device_status", runtime=runtime) as states:
            client.runtimes.change_device_state(runtime=runtime, payload={"mode": "acceptEdits"})
            with anyio.fail_after(20):
                async for state in states:
                    if state.device_status.current_permission_mode == "acceptEdits":
                        break
        secrets = client.secrets
        applied = await secrets.apply(agent_id=runtime.agent_id, set={"KEY": "value"}, unset=[])
        assert applied.names == ["KEY"]
        (secret,) = (await secrets.list(agent_id=runtime.agent_id)).secrets
        assert (secret.key, secret.value) == ("KEY", "value")
        assert (await client.teleport.probe(runtime=runtime)).supported is True


async def test_channels_without_a_gateway_stay_silent(live: dict[str, Any]) -> None:
    async with connected(live) as client:
        with pytest.raises(letta.RequestTimeout, match="channel gateway"):
            await client.channels.list(timeout=1)
