"""A script without an event loop: an answer as it comes, then three questions in threads."""

import os
from concurrent.futures import ThreadPoolExecutor

from letta_app_client import sync as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}


def main() -> None:
    with letta.connect(URL) as client:
        session = client.session(create_agent=AGENT)
        for text in session.stream_text("Which planet is the largest?"):
            print(text, end="", flush=True)
        print()

        def ask(planet: str) -> str:
            # Each in a conversation of its own; threads may share the client.
            return client.session(agent_id=session.agent_id).run(f"Tell me about {planet}.").text

        with ThreadPoolExecutor(2) as pool:
            for answer in pool.map(ask, ["Mars", "Venus", "Saturn"]):
                print(answer)


main()
