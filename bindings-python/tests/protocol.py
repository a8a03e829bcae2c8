"""The catalog and the recordings, for tests that walk through them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from letta_app_client import Fields, Message, protocol
from letta_app_client._conveniences import HasConveniences
from letta_app_client._json import encode
from letta_app_client._link import Check, Link

FOLDER = Path(__file__).parents[2] / "protocol"
CATALOG: dict[str, Any] = json.loads((FOLDER / "catalog.json").read_text(encoding="utf-8"))
COMMANDS = {one["type"]: one for one in CATALOG["messages"] if one["kind"] == "command"}

ON_PURPOSE = (
    "invalid_frames",
    "malformed",
    "external_tools_update",
    "change_device_state",
    "runtime_start_variants",
    "mode_strict",
    "wrong_runtime",
    "settings",
)
"""Recordings in which bad frames are sent on purpose."""


def frames(direction: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every frame of every recording in one direction."""
    for path in sorted(FOLDER.glob("traces/*/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry.get("dir") == direction and isinstance(entry.get("frame"), dict):
                yield path, entry["frame"]


class StubLink(Link):
    """Keeps what would be sent, and answers at once with an empty frame."""

    def __init__(self) -> None:
        self.sent_frames: list[dict[str, Any]] = []

    def send(self, command: Any, check: Check = "catalog") -> None:
        assert check == "documented"
        self.sent_frames.append(json.loads(encode(command)))

    async def request(self, command: Any, *_: Any, check: Check = "catalog", **__: Any) -> Message:
        self.send(command, check)
        return Message("{}")


class Stub(HasConveniences):
    """The families of a client that is connected to nothing."""

    def __init__(self) -> None:
        self._link = StubLink()

    @property
    def sent(self) -> list[dict[str, Any]]:
        assert isinstance(self._link, StubLink)
        return self._link.sent_frames


def method(client: HasConveniences, kind: str) -> Any:
    """The method of a command."""
    command = COMMANDS[kind]
    return getattr(getattr(client, command["group"]), command["method"])


def samples(kind: str) -> dict[str, Any]:
    """A value for every field of a command, of the first type that its ``TypedDict`` allows."""
    pascal = "".join(part.capitalize() for part in kind.split("_"))
    values: dict[str, Any] = sample(getattr(protocol, f"{pascal}Fields"))
    # Of these only one may be given.
    for name in EXCLUDED.get(kind, ()):
        del values[name]
    return values


EXCLUDED = {
    "runtime_start": ("agent_id", "conversation_id"),
    "external_tool_call_response": ("error",),
}


def sample(hint: Any, name: str = "") -> Any:
    """A value of a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    value: Any
    if name == "parents":
        value = [["text", 3]]
    elif is_typeddict(hint):
        value = {key: sample(kind, key) for key, kind in get_type_hints(hint).items()}
    elif origin in (Union, UnionType):
        value = sample(next(one for one in arguments if one is not Fields))
    elif origin is Literal:
        value = arguments[0]
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        value = {"key": sample(arguments[1])}
    elif isinstance(origin, type) and issubclass(origin, Sequence):
        value = [sample(arguments[0])]
    else:
        value = {str: "text", bool: True, float: 3, Any: "anything"}[hint]
    return value


def plain(value: Any) -> Any:
    """The JSON value that a message's attribute stands for."""
    if isinstance(value, Fields):
        return {key: plain(value[key]) for key in value}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
