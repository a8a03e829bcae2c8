"""An HTTP endpoint: GET /?q=... answers with the agent's text while it comes."""

import asyncio
import contextlib
import os
import signal
from urllib.parse import parse_qs, urlsplit

import letta_app_client as letta

URL = os.environ.get("LETTA_URL", "ws://127.0.0.1:4500")
MODEL = os.environ.get("LETTA_MODEL", "lmstudio/echo-1")
AGENT = {"body": {"name": "helper", "model": MODEL}, "pin_global": False}
PORT = int(os.environ.get("PORT", "8000"))
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"


async def stop_when_gone(reader: asyncio.StreamReader, turn: letta.Turn) -> None:
    """Stops a turn when its reader goes away, also while the agent says nothing."""
    with contextlib.suppress(OSError):
        while await reader.read(512):  # what else a reader sends is nobody's
            pass
    await turn.abort()


async def answer(
    session: letta.Session,
    question: str,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    turn = session.send(question, timeout=120)
    watching = asyncio.create_task(stop_when_gone(reader, turn))
    try:
        writer.write(OK + CHUNKED)
        async for text in turn.stream_text():
            piece = text.encode()
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
        if (status := (await turn).status) != "completed":
            raise ValueError(f"the turn is {status}")
        writer.write(b"0\r\n\r\n")  # without it the answer counts as cut off
    finally:
        watching.cancel()


async def main() -> None:
    async with letta.connect(URL) as client, client.session(create_agent=AGENT) as first:

        async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                _, target, _ = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)
                question = parse_qs(urlsplit(target.decode()).query).get("q", [""])[0]
                if not question:
                    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                    return
                async with client.session(agent_id=first.agent_id) as session:
                    await answer(session, question, reader, writer)
            except (OSError, EOFError, ValueError, letta.LettaAppError) as error:
                print("a request failed:", error, flush=True)
            finally:
                writer.close()

        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for end in (signal.SIGINT, signal.SIGTERM):
            signal.signal(end, lambda _number, _frame: loop.call_soon_threadsafe(stop.set))
        server = await asyncio.start_server(respond, "127.0.0.1", PORT)
        print(f"ready: http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await stop.wait()
        server.close()


asyncio.run(main())
