"""A client that one writes in an hour, on `websockets`: `pure.py URL SECONDS`."""

import asyncio
import json
import sys

import websockets
from report import Report, stall


async def main(url: str, seconds: float) -> None:
    report = Report()
    async with websockets.connect(f"{url}/ws", max_size=None) as socket:

        async def send(**command: object) -> None:
            await socket.send(json.dumps(command))

        await send(type="runtime_start", request_id="1", agent_id="a", mode="standard")
        try:
            async for text in socket:
                frame = json.loads(text)
                if frame["type"] == "runtime_start_response":
                    message = {"role": "user", "content": "a long story"}
                    payload = {"kind": "create_message", "messages": [message]}
                    await send(
                        type="input", request_id="2", runtime=frame["runtime"], payload=payload
                    )
                elif frame["type"] == "turn_finished":
                    break
                elif frame["type"] == "stream_delta":
                    delta = frame["delta"]
                    if delta["message_type"] == "assistant_message":
                        report.delta("".join(part["text"] for part in delta["content"]))
                        if report.deltas == 1:
                            report.stalled = stall(seconds)
        except websockets.ConnectionClosed as error:
            close = error.rcvd or error.sent
            report.lost(close.code if close else 1006, (close and close.reason) or str(error))
    report.print()


asyncio.run(main(sys.argv[1], float(sys.argv[2])))
