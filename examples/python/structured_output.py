"""The answer as an object of a class: the agent hands in its fields, and they are checked."""

import asyncio
import os
from dataclasses import dataclass
from typing import Literal

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "reviewer", "model": MODEL}, "pin_global": False}


@dataclass
class Finding:
    """A bug in the code.

    Attributes:
        file: The path, from the root of the project.
        line: The line that has to be changed.
        why: What goes wrong, in one sentence.
    """

    file: str
    line: int
    why: str
    severity: Literal["low", "high"] = "low"


async def main() -> None:
    async with letta.connect(URL) as client, client.session(create_agent=AGENT) as session:
        result = await session.run("Find the worst bug.", output_type=Finding)
        worst = result.output
        print(f"{worst.file}:{worst.line}: {worst.why} [{worst.severity}]")

        try:
            more = await session.run("List all others.", output_type=list[Finding])
        except letta.StructuredOutputError as error:
            print(f"no list: {error.text!r}", *error.errors, sep="\n")
        else:
            print(*(f"{one.file}:{one.line}: {one.why}" for one in more.output), sep="\n")


asyncio.run(main())
