"""Three WebSocket libraries under the same session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
import picows
import websockets
from decoders import encode, with_msgspec, with_orjson
from session import Session

Close = Callable[[], Any]


async def by_picows(url: str) -> tuple[Session, Close]:
    class Listener(picows.WSListener):
        def on_ws_connected(self, transport: picows.WSTransport) -> None:
            encoder = msgspec.json.Encoder()
            session = Session(
                lambda text: transport.send(picows.WSMsgType.TEXT, text.encode()),
                lambda command: encoder.encode(command).decode(),
            )
            self.session = session
            self.feed = with_msgspec(session)
            self.parts = bytearray()

        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            if frame.msg_type == picows.WSMsgType.TEXT:
                self.feed(frame.get_payload_as_memoryview())
            elif frame.msg_type == picows.WSMsgType.CLOSE:
                transport.disconnect()

    transport, listener = await picows.ws_connect(Listener, f"{url}/ws", max_frame_size=1 << 28)
    return listener.session, transport.disconnect


async def by_websockets(url: str) -> tuple[Session, Close]:
    socket = await websockets.connect(f"{url}/ws", max_size=None, compression=None)
    session = Session(socket.send, encode)
    feed = with_orjson(session)

    async def read() -> None:
        async for text in socket:
            feed(text)

    task = asyncio.create_task(read())

    async def close() -> None:
        await socket.close()
        await task

    return session, close


async def by_aiohttp(url: str) -> tuple[Session, Close]:
    http = aiohttp.ClientSession()
    socket = await http.ws_connect(f"{url}/ws", max_msg_size=0)
    session = Session(socket.send_str, encode)
    feed = with_orjson(session)

    async def read() -> None:
        async for message in socket:
            feed(message.data)

    task = asyncio.create_task(read())

    async def close() -> None:
        await socket.close()
        await task
        await http.close()

    return session, close


CONNECT = {"picows": by_picows, "websockets": by_websockets, "aiohttp": by_aiohttp}
