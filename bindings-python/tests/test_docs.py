"""Every block of code in README and docs is run, or is marked as no program.

A block counts as run when it

* is Python on a page of ``PAGES``: its blocks are run here, in order, against the server double;
* is a file of ``examples``, or of what the packages are tried with, which other tests run;
* is a command line whose words are known here: targets of the Makefile, files that are there;
* follows ``<!-- run: FILE -->``: that file runs it, and has to name the page;
* is on a page whose blocks have a test file of their own (``ELSEWHERE``), which names the page.

Blocks of ``text`` are output. Other words that are no programs begin with ``# output``.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

import letta_app_client as letta
from letta_app_client.testing import MockServer, script
from tests.readme import Printed, run

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    *ROOT.glob("bindings-*/README.md"),
    *sorted((ROOT / "docs").rglob("*.md")),
]
ELSEWHERE = {
    ("README.md", "python"): "bindings-python/tests/test_readme.py",
    ("bindings-python/README.md", "python"): "bindings-python/tests/test_readme.py",
    ("bindings-node/README.md", "ts"): "bindings-node/test/readme.test.ts",
    ("docs/notebooks.md", "python"): "bindings-python/tests/test_docs_notebooks.py",
}
RUN_ELSEWHERE = {"examples": "tests of the examples", "release": "make npm-test"}
SHELL = {"make", "node", "npm", "cargo", ".venv/bin/python", "cd"}


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    language: str
    code: str
    run_by: str | None
    shown: str | None

    @property
    def id(self) -> str:
        return f"{self.page}:{self.line}"


def found() -> list[Block]:
    """All blocks of all documents."""
    out = []
    for path in DOCUMENTS:
        page = path.relative_to(ROOT).as_posix()
        lines = path.read_text(encoding="utf-8").splitlines()
        fence: re.Match[str] | None = None
        start = 0
        for number, line in enumerate(lines, 1):
            if fence is None:
                fence = re.match(r"(\s*)(`{3,})(\S*)", line)
                start = number
            elif line == fence[1] + fence[2]:
                before = next((text for text in reversed(lines[: start - 1]) if text.strip()), "")
                mark = re.fullmatch(r"\s*<!-- (run: )?(\S+) -->", before)
                code = "\n".join(text[len(fence[1]) :] for text in lines[start : number - 1])
                out.append(
                    Block(
                        page,
                        start,
                        fence[3],
                        code,
                        mark[2] if mark and mark[1] else None,
                        mark[2] if mark and not mark[1] else None,
                    )
                )
                fence = None
        assert fence is None, f"{page}:{start}: a block does not end"
    return out


BLOCKS = found()
TARGETS = {
    name
    for path in (ROOT / "Makefile", *ROOT.glob("*/rules.mk"))
    for names in re.findall(r"^([\w -]+):(?!=)", path.read_text(encoding="utf-8"), re.MULTILINE)
    for name in names.split()
}


def shell_problem(code: str) -> str | None:
    """What a command line names that is not there."""
    for line in code.splitlines():
        words = [word for word in shlex.split(line, comments=True) if "=" not in word]
        if not words:
            continue
        if words[0] not in SHELL:
            return f"nothing is known of {words[0]}"
        if words[0] == "make" and not set(words[1:]) <= TARGETS:
            return f"no such target: {set(words[1:]) - TARGETS}"
        if words[0] == "npm" and words[1] in {"run", "test"}:
            scripts = (ROOT / "bindings-node/package.json").read_text(encoding="utf-8")
            if f'"{words[-1]}":' not in scripts:
                return f"no such script: {words[-1]}"
        if words[0] == "cargo":
            examples = [words[i + 1] for i, word in enumerate(words) if word == "--example"]
            manifest = (ROOT / "core/Cargo.toml").read_text(encoding="utf-8")
            if not all(f'name = "{name}"' in manifest for name in examples):
                return f"no such example: {examples}"
        files = [word for word in words if word.endswith((".py", ".mjs", ".json"))]
        if not all(
            (ROOT / name).exists() or (ROOT / "bindings-node" / name).exists() for name in files
        ):
            return f"a file is not there: {files}"
    return None


def problem(block: Block) -> str | None:  # noqa: PLR0911 - a list of cases
    """Why a block is neither run nor marked."""
    included = re.fullmatch(r'--8<-- "((\w+)/[^":]+)"', block.code)
    if block.run_by is not None:
        path = ROOT / block.run_by
        if not path.exists():
            return f"{block.run_by} is not there"
        names = (Path(block.page).name, block.code.split("\n", 1)[0])
        text = path.read_text(encoding="utf-8")
        return None if any(name in text for name in names) else f"{block.run_by} does not name it"
    if block.shown is not None:
        if (ROOT / block.shown).read_text(encoding="utf-8").strip() == block.code.strip():
            return None
        return f"differs from {block.shown}"
    if included:
        there = (ROOT / included[1]).is_file() and included[2] in RUN_ELSEWHERE
        return None if there else f"{included[1]} is run by no test"
    if (block.page, block.language) in ELSEWHERE or block.language == "text":
        return None
    if block.language == "python" and block.page in PAGES:
        return None
    if block.language == "sh":
        return shell_problem(block.code)
    return None if block.code.startswith("# output") else "neither run nor marked as output"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.id)
def test_a_block_is_run_or_marked(block: Block) -> None:
    assert problem(block) is None


def test_a_block_that_nobody_runs_is_found() -> None:
    for language, code in [
        ("python", "1 / 0"),
        ("js", "boom()"),
        ("sh", "make nothing"),
        ("", "x"),
    ]:
        assert problem(Block("docs/nobody.md", 1, language, code, None, None)) is not None


def code_of(page: str) -> list[str]:
    """The Python of a page, without whole examples."""
    own = [block.code for block in BLOCKS if (block.page, block.language) == (page, "python")]
    return [code for code in own if not code.startswith("--8<--")]


async def test_deploy_behind_tls(tmp_path: Path) -> None:
    (code,) = code_of("docs/how-to/deploy-behind-tls.md")
    authority, key = tmp_path / "ca.pem", trustme.CA()
    key.cert_pem.write_to_path(str(authority))
    with MockServer(token="secret") as mock:
        space: dict[str, Any] = {
            "letta": letta,
            "url": mock.url,
            "token": "secret",
            "authority": authority,
        }
        await run(code, space)
    assert space["info"].success
    assert space["options"].tls.ca == authority


async def test_test_your_app() -> None:
    first, second = code_of("docs/how-to/test-your-app.md")
    space: dict[str, Any] = {"letta": letta}
    await run(first, space)
    await anyio.to_thread.run_sync(space["test_the_answer"])
    await run(second, space)
    await space["test_a_permission"]()


# Its locks are those of asyncio.
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_behind_a_web_server() -> None:
    once, each, locked = code_of("docs/how-to/behind-a-web-server.md")
    printed = Printed()
    turns = [script.turn(text="first"), script.turn(text="second")]
    with MockServer(turns, models=["lmstudio/echo-1"]) as mock:
        async with letta.connect(mock.url) as client:
            space: dict[str, Any] = {"client": client, "MODEL": "lmstudio/echo-1"}
            space["print"] = printed
            await run(once, space)
            await run(each, space)
            assert [await space["answer"]("ann", "?"), await space["answer"]("ann", "?")] == [
                "first",
                "second",
            ]
            assert len(set(space["conversations"].values())) == 1
            query = {"agent_id": space["agent_id"]}
            listed = await client.conversations.list(query=query)
            assert len(listed.conversations or []) == 2
            # The first two requests of a person at the same time.
            await run(locked, space)
            answer = space["answer_in_one_conversation"]
            said = await asyncio.gather(answer("bob", "?"), answer("bob", "and?"))
            assert list(said) == ["second", "second"]
            listed = await client.conversations.list(query=query)
            assert len(listed.conversations or []) == 3
            assert not space["locks"]
    assert printed.text == "['lmstudio/echo-1']\n"


def test_every_section_that_is_named_has_its_row() -> None:
    text = (ROOT / "docs/reference/sections.md").read_text(encoding="utf-8")
    rows = {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    sources = [
        *ROOT.glob("core/src/**/*.rs"),
        *ROOT.glob("bindings-*/src/**/*.rs"),
        *ROOT.glob("bindings-node/ts/*.ts"),
        *ROOT.glob("bindings-python/python/**/*.py"),
    ]
    named = {
        int(number)
        for path in sources
        for numbers in re.findall(
            r"sections? (\d+(?:\.\d+)?(?:(?:, | and | to )\d+(?:\.\d+)?)*)",
            path.read_text(encoding="utf-8"),
        )
        for number in re.findall(r"(?<![.\d])\d+", numbers)
    }
    assert len(named) > 15
    assert named <= rows


async def test_recover_from_disconnects() -> None:
    whole, reserve = code_of("docs/how-to/recover-from-disconnects.md")
    printed = Printed()
    with MockServer([script.turn(lose_input=True)]) as mock:
        space: dict[str, Any] = {"letta": letta, "url": mock.url, "print": printed}
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, whole, space)
                assert await anyio.to_thread.run_sync(mock.wait_received, "input")
                mock.cut_connections()
        assert "reconnecting" in printed.text
        assert printed.text.endswith("The connection was lost on the way: resent\n")
        await space["client"].close()
        await run(reserve, space)
        assert printed.text.splitlines()[-1] in {"opening", "ready"}
        await space["client"].close()


PAGES = {
    "docs/how-to/deploy-behind-tls.md": test_deploy_behind_tls,
    "docs/how-to/test-your-app.md": test_test_your_app,
    "docs/how-to/behind-a-web-server.md": test_behind_a_web_server,
    "docs/how-to/recover-from-disconnects.md": test_recover_from_disconnects,
}


@pytest.mark.parametrize(("page", "file"), [(page, file) for (page, _), file in ELSEWHERE.items()])
def test_a_page_that_is_run_elsewhere_is_named_there(page: str, file: str) -> None:
    tests = (ROOT / file).read_text(encoding="utf-8")
    if file.endswith("test_readme.py"):
        tests += (ROOT / "bindings-python/tests/readme.py").read_text(encoding="utf-8")
    assert Path(page).name in tests


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_is_run_has_code(page: str) -> None:
    assert code_of(page)


def test_every_error_has_its_row_and_its_class() -> None:
    text = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    codes = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    own = {
        kind.code
        for kind in vars(letta.errors).values()
        if isinstance(kind, type) and hasattr(kind, "code")
    }
    assert len(codes) == 23
    assert codes <= own | {"request"}


def test_every_event_has_its_row() -> None:
    text = (ROOT / "docs/reference/events.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \|", text, re.MULTILINE))
    assert {row[:2] for row in rows} == {
        (kind.__name__, kind.type) for kind in letta.TurnEvent.__args__
    }
    rust = [ROOT / "core/src" / file for file in ("engine/event.rs", "turn.rs")]
    variants = "".join(path.read_text(encoding="utf-8") for path in rust)
    assert all(re.search(rf"^    {row[2]}\b", variants, re.MULTILINE) for row in rows)
