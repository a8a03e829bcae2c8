"""What one writes around a WebSocket to talk to an App Server: who waits for what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Turn:
    """A turn under way."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.parts: list[str] = []
        self.done: asyncio.Future[str] = loop.create_future()


class Session:
    """Sends commands as text and is fed with frames by its transport."""

    def __init__(self, send: Callable[[str], Any], encode: Callable[[Any], str]) -> None:
        self._send = send
        self._encode = encode
        self._loop = asyncio.get_running_loop()
        self._requests: dict[str, asyncio.Future[Any]] = {}
        self._turns: dict[str, Turn] = {}
        self._number = 0
        self.on_text: Callable[[str, str, str], None] | None = None
        self.on_output: Callable[[str], None] | None = None

    async def send(self, command: dict[str, Any]) -> None:
        done = self._send(self._encode(command))
        if done is not None:
            await done

    async def request(self, command: dict[str, Any]) -> Any:
        self._number += 1
        key = command["request_id"] = f"r-{self._number}"
        future = self._requests[key] = self._loop.create_future()
        await self.send(command)
        return await future

    async def turn(self, runtime: dict[str, Any]) -> str:
        turn = self._turns[runtime["conversation_id"]] = Turn(self._loop)
        self._number += 1
        message = {"role": "user", "content": "go", "client_message_id": f"m-{self._number}"}
        payload = {"kind": "create_message", "messages": [message]}
        await self.send(
            {"type": "input", "request_id": "i", "runtime": runtime, "payload": payload}
        )
        return await turn.done

    def answered(self, key: str, frame: Any) -> None:
        future = self._requests.pop(key, None)
        if future is not None and not future.done():
            future.set_result(frame)

    def text(self, kind: str, message_type: str, text: str, conversation: str) -> None:
        if self.on_text is not None:
            self.on_text(kind, message_type, text)
        turn = self._turns.get(conversation)
        if turn is not None:
            turn.parts.append(text)

    def output(self, text: str) -> None:
        if self.on_output is not None:
            self.on_output(text)

    def finished(self, conversation: str) -> None:
        turn = self._turns.pop(conversation, None)
        if turn is not None and not turn.done.done():
            turn.done.set_result("".join(turn.parts))
