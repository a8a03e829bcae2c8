"""A function that the agent can call: it runs here, in this program, over data of its own."""

import asyncio
import os
from typing import Annotated

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}

STOCK: list[dict[str, str | int]] = [
    {"item": "apple", "color": "red", "count": 12},
    {"item": "cherry", "color": "red", "count": 70},
    {"item": "lemon", "color": "yellow", "count": 5},
]


def stock(
    color: Annotated[str | None, "Only items of this color"] = None, at_least: int = 0
) -> list[dict[str, str | int]]:
    """Looks up what is in stock, with the count of each item."""
    print(f"[stock: color={color!r}, at_least={at_least}]")
    fitting = [row for row in STOCK if color is None or row["color"] == color]
    return [row for row in fitting if int(row["count"]) >= at_least]


async def main() -> None:
    async with (
        letta.connect(URL) as client,
        client.session(create_agent=AGENT, tools=[stock]) as session,
    ):
        result = await session.run("Of which red fruit are there more than twenty?")
        print(result.text)


asyncio.run(main())
