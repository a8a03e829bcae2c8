"""What somebody does first with the package: a turn, here on the double that comes with it."""

import asyncio
import platform

import letta_app_client as letta
from letta_app_client.testing import MockServer, script


async def main() -> None:
    with MockServer([script.turn(["4", "2"])]) as mock:
        async with letta.connect(mock.url) as client, client.session(agent_id="agent-1") as session:
            result = await session.run("What is six times seven?")
    print("CPython", platform.python_version(), platform.libc_ver(), letta.__version__, result.text)
    if result.text != "42":
        raise SystemExit(f"the turn gave {result.text!r}")


asyncio.run(main())
