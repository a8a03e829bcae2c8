"""A session with the real server, recorded once and played again in three languages."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import letta_app_client as letta

from .support import touch

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]


async def program(target: Any, live: dict[str, Any], prompt: str, **options: Any) -> list[Any]:
    """What a program sees of a turn that calls a tool and asks for a permission."""
    async with letta.connect(target, **options) as client:
        body = {"name": "replayed", "model": live["model"]}
        session = await client.session(
            create_agent={"body": body, "pin_global": False},
            cwd=live["cwd"],
            approvals=lambda _: letta.allow(),
        )
        result = await session.run(prompt, timeout=60)
    calls = [[call.name, call.status, call.output] for call in result.tool_calls]
    usage = result.usage.total_tokens
    return [result.text, list(result.run_ids), usage, result.stop_reason, calls]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_is_the_same_in_three_languages(live: dict[str, Any], tmp_path: Path) -> None:
    path, prompt = tmp_path / "run.letta.jsonl", f"{touch('replayed.txt')} N=3 REASON=2"
    recorded = await program(live["url"], live, prompt, record=path)
    assert recorded[0] == "tok0 tok1 tok2 "
    assert await program(letta.replay(path), live, prompt) == recorded

    told = letta.replay(path).events()
    ends = [it["result"]["text"] for it in told if it["type"] == "turn"]
    assert ends == [recorded[0]]

    node: list[Any] = ["node", "bindings-node/test/live/replayed.mjs", path, "replayed", prompt]
    node += [live["model"], live["cwd"]]
    played = json.loads(subprocess.check_output(node, cwd=ROOT, timeout=60))  # noqa: ASYNC221
    assert played["seen"] == recorded
    assert played["events"] == told

    rust: list[Any] = ["target/debug/examples/letta_app", "replay", path, "--json"]
    lines = subprocess.check_output(rust, cwd=ROOT, text=True).splitlines()  # noqa: ASYNC221
    assert [json.loads(line) for line in lines] == told
