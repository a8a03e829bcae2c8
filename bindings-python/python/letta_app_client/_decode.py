"""From the text of a frame to the object of its class."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeAlias

from .messages import Message

__all__ = ["Wire", "classes", "decode", "decode_as"]

Wire: TypeAlias = Any
"""The text of a frame: a ``str``, or the engine's own (``_native.WireText``)."""


@cache
def classes() -> Mapping[str, type[Message]]:
    """The classes of all messages, by ``type``. They are imported with the first frame."""
    from .protocol import MESSAGES  # noqa: PLC0415 - as it says

    return MESSAGES


def decode(text: Wire) -> Message:
    """Parses a frame and makes it an object of the class of its type; plain where it is unknown."""
    return decode_as(Message(text).type, text)


def decode_as(kind: str | None, text: Wire) -> Message:
    """Makes a frame whose type the engine has read an object of its class, without parsing it."""
    return Message(text) if kind is None else classes().get(kind, Message)(text)
