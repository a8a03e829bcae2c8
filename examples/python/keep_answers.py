"""Many questions whose answers are kept as they come: run it again after Ctrl-C for the others."""

import json
import os
from pathlib import Path

from letta_app_client import sync as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}
FILE = Path(os.environ.get("ANSWERS", "answers.jsonl"))
PROMPTS = [f"Describe the number {number} in one sentence." for number in range(1, 7)]


def keep(_: int, item: letta.BatchItem[letta.TurnResult]) -> None:
    if item.error is None:
        with FILE.open("a", encoding="utf-8") as file:
            print(json.dumps(item.to_dict()), file=file)


def known() -> dict[str, str]:
    lines = FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else []
    items = [json.loads(line) for line in lines]
    return {item["prompt"]: item["result"]["text"] for item in items}


def main() -> None:
    before = known()
    left = [prompt for prompt in PROMPTS if prompt not in before]
    with letta.connect(URL) as client, client.session(create_agent=AGENT) as first:
        letta.map(client, left, agents=first.agent_id, limit=3, on_item=keep)
    for prompt, text in known().items():
        print(f"{prompt} -> {text}")
    print(f"[{len(before)} known before]")


main()
