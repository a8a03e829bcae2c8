"""Types that tools of the tests take and return, and calls of them without a server."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pydantic

from letta_app_client import Message
from letta_app_client.tools import ToolSet


class Colour(enum.Enum):
    RED = "red"
    CORNER = (1, 2)


@dataclass
class Range:
    first: int
    last: int = 9

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError("last is before first")


@dataclass
class Search:
    where: Path
    ranges: list[Range] = field(default_factory=list)


class Pair(NamedTuple):
    key: str
    value: float


class User(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    name: str
    born: date


def call(name: str, arguments: Any, **more: Any) -> Message:
    fields = {
        "type": "external_tool_call_request",
        "request_id": "external-tool-1",
        "tool_call_id": "call-1",
        "tool_name": name,
        "input": arguments,
    }
    return Message(json.dumps({**fields, **more}))


def one(function: Any) -> ToolSet:
    return ToolSet([function])


async def text_of(function: Any, **arguments: Any) -> str:
    """The text that a call without trouble is answered with."""
    tools = one(function)
    (made,) = tools
    answer = await tools(call(made.name, arguments))
    assert answer.keys() == {"content"}
    (part,) = answer["content"]
    assert part.keys() == {"type", "text"}
    return str(part["text"])


async def complaint_of(function: Any, arguments: Any) -> str:
    """The text of the error that a call is answered with."""
    tools = one(function)
    (made,) = tools
    answer = await tools(call(made.name, arguments))
    assert answer["is_error"] is True
    (part,) = answer["content"]
    return str(part["text"])
