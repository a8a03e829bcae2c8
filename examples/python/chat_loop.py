"""A chat: every line of the standard input is a question; the end of the input ends it."""

import os
import sys

from letta_app_client import sync

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}

with sync.connect(URL) as client, client.session(create_agent=AGENT) as session:
    for line in sys.stdin:
        if not line.strip():
            continue
        turn = session.send(line.strip())
        for text in turn.stream_text():
            print(text, end="", flush=True)
        print()
        result = turn.result()
        if result.status != "completed":
            # The conversation can go on all the same.
            print(f"[{result.status}: {result.error}]")
    print(f"[{session.usage.total_tokens} tokens in all]")
