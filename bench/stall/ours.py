"""The Python package while its program holds the interpreter: `ours.py URL SECONDS`."""

import asyncio
import sys

from report import Report, stall

import letta_app_client as letta


async def main(url: str, seconds: float) -> None:
    report = Report()
    async with letta.connect(url) as client:
        started = await client.runtime_start(agent_id="a", mode="standard")
        message = {"role": "user", "content": "a long story"}
        payload = {"kind": "create_message", "messages": [message]}
        try:
            async for event in client.send_turn(runtime=started.runtime, payload=payload):
                match event:
                    case letta.AssistantDelta(text=text):
                        report.delta(text)
                        if report.deltas == 1:
                            report.stalled = stall(seconds)
                    case letta.EventsDropped(merged=merged):
                        report.deltas += merged
        except letta.Disconnected as error:
            report.lost(error.close_code, error.reason)
        if client.stats.reconnects:
            report.lost(None, "connected again")
    report.print()


asyncio.run(main(sys.argv[1], float(sys.argv[2])))
