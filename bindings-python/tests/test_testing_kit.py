"""The examples of ``docs/testing.md`` run as they stand there."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

import letta_app_client as letta
from letta_app_client.testing import MockServer, script

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/testing.md").read_text()


MARK = "<!-- run: bindings-python/tests/test_testing_kit.py -->"


def example(index: int) -> str:
    """One of the blocks that say they are run here."""
    blocks: list[str] = re.findall(rf"{MARK}\n```python\n(.*?)```", PAGE, re.DOTALL)
    return blocks[index]


def test_the_double() -> None:
    exec(compile(example(0), "docs/testing.md", "exec"), {})  # noqa: S102


def test_structured_output() -> None:
    exec(compile(example(1), "docs/testing.md", "exec"), {"__name__": "__main__"})  # noqa: S102


def test_fixtures_are_there_without_an_import(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(example(2))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_replays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(example(3), "docs/testing.md", "exec"), names)  # noqa: S102
    program, main = names["program"], names["main"]
    assert callable(program)
    assert callable(main)
    with MockServer([script.turn("42")]) as mock:
        options = letta.ConnectOptions(url=mock.url, record=str(names["RECORDING"]))
        assert asyncio.run(program(options)) == "42"
    asyncio.run(main())
    assert capsys.readouterr().out == "42\n"


def test_a_double_starts_quickly() -> None:
    import time  # noqa: PLC0415 - only here

    times = []
    for _ in range(5):
        begun = time.perf_counter()
        with MockServer():
            times.append(time.perf_counter() - begun)
    # A busy machine may take its time now and then, but not each time.
    assert min(times) < 0.05


def test_what_the_double_has_beside_turns() -> None:
    from letta_app_client import sync  # noqa: PLC0415 - only here

    with MockServer(models=["a/b"], files=True) as mock, sync.connect(mock.url) as client:
        made = client.agents.create(body={"name": "scribe"})
        assert [it["name"] for it in client.request("agent_list").agents] == ["scribe"]
        client.request("agent_delete", agent_id=made.agent["id"])
        with pytest.raises(letta.RequestError, match="not found"):
            client.request("agent_retrieve", agent_id=made.agent["id"])
        assert client.request("list_models").available_handles == ["a/b"]
        (mock.folder / "a.txt").write_text("hello")
        read = client.request("read_file", path=str(mock.folder / "a.txt"))
        assert read.content == "hello"
        with pytest.raises(AssertionError, match=r'path is ".*", expected "b"'):
            mock.assert_received("read_file", path="b")
        folder = mock.folder
    assert not folder.exists()
