"""The two usual ways to read frames: typed with ``msgspec``, or dictionaries of ``orjson``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import orjson
from session import Session


class Part(msgspec.Struct):
    text: str = ""


class Delta(msgspec.Struct):
    message_type: str = ""
    content: list[Part] = []
    tool_return: str = ""


class Runtime(msgspec.Struct):
    agent_id: str
    conversation_id: str


class Frame(msgspec.Struct):
    type: str
    request_id: str | None = None
    runtime: Runtime | None = None
    delta: Delta | None = None


def with_msgspec(session: Session) -> Callable[[bytes | str], None]:
    decode = msgspec.json.Decoder(Frame).decode

    def feed(data: bytes | str) -> None:
        frame = decode(data)
        runtime = frame.runtime
        if frame.type == "stream_delta":
            delta = frame.delta
            if delta is None or runtime is None:
                return
            if delta.message_type == "assistant_message":
                text = "".join([part.text for part in delta.content])
                session.text(frame.type, delta.message_type, text, runtime.conversation_id)
            elif delta.message_type == "tool_return_message":
                session.output(delta.tool_return)
        elif frame.type == "turn_finished":
            if runtime is not None:
                session.finished(runtime.conversation_id)
        elif frame.request_id is not None:
            answer = (
                {"agent_id": runtime.agent_id, "conversation_id": runtime.conversation_id}
                if runtime
                else None
            )
            session.answered(frame.request_id, answer)

    return feed


def with_orjson(session: Session) -> Callable[[bytes | str], None]:
    loads = orjson.loads

    def feed(data: bytes | str) -> None:
        frame: dict[str, Any] = loads(data)
        kind = frame["type"]
        if kind == "stream_delta":
            delta = frame["delta"]
            message_type = delta["message_type"]
            if message_type == "assistant_message":
                text = "".join([part["text"] for part in delta["content"]])
                session.text(kind, message_type, text, frame["runtime"]["conversation_id"])
            elif message_type == "tool_return_message":
                session.output(delta["tool_return"])
        elif kind == "turn_finished":
            session.finished(frame["runtime"]["conversation_id"])
        elif "request_id" in frame:
            session.answered(frame["request_id"], frame.get("runtime"))

    return feed


def encode(command: Any) -> str:
    return orjson.dumps(command).decode()
