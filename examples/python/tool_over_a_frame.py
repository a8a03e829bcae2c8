"""A tool over a pandas frame: the agent asks questions of data that never leaves this program."""

import asyncio
import os
from typing import Annotated, Literal

import pandas as pd

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "analyst", "model": MODEL}, "pin_global": False}

LATENCIES = pd.DataFrame(
    {
        "service": ["search", "search", "search", "cart", "cart", "cart"],
        "region": ["eu", "us", "us", "eu", "eu", "us"],
        "ms": [120, 95, 2400, 30, 35, 28],
    }
)


@letta.tool
def latency(
    by: Annotated[Literal["service", "region"], "The column to group by"],
    quantile: Annotated[float, "From 0 to 1"] = 0.5,
) -> pd.DataFrame:
    """Compute a quantile of the latencies in milliseconds, group by group."""
    print(f"[latency: by={by!r}, quantile={quantile}]")
    # A frame that a tool returns reaches the agent as CSV, cut where it is long.
    found: pd.DataFrame = LATENCIES.groupby(by, as_index=False)[["ms"]].quantile(quantile)
    return found


async def main() -> None:
    async with (
        letta.connect(URL) as client,
        client.session(create_agent=AGENT, tools=[latency]) as session,
    ):
        result = await session.run("Which service has the worst tail latency?")
        print(result.text)


asyncio.run(main())
