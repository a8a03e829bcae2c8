"""A server of your own: it is started, asked, and gone when the program ends."""

import asyncio
import os
import shlex
import sys

import letta_app_client as letta

COMMAND = shlex.split(os.environ.get("LETTA_SERVER", "letta server"))
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}


def log(line: str) -> None:
    print("server:", line, file=sys.stderr)


async def main() -> None:
    async with (
        letta.spawn_server(COMMAND, on_log=log) as server,
        letta.connect(server) as client,
        client.session(create_agent=AGENT) as session,
    ):
        result = await session.run("Which planet is the largest? One word.")
        print(result.text)


try:
    asyncio.run(main())
except letta.ServerStartError as error:
    # Its message ends with what the server printed.
    sys.exit(str(error))
