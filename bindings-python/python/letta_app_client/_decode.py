"""From the text of a frame to the object of its class."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from . import _native
from .messages import Message

__all__ = ["classes", "decode", "decode_as"]


@cache
def classes() -> Mapping[str, type[Message]]:
    """The classes of all messages, by ``type``. They are imported with the first frame."""
    from .protocol import MESSAGES  # noqa: PLC0415 - as it says

    return MESSAGES


def decode(text: str | _native.WireText) -> Message:
    """Parses a frame and makes it an object of the class of its type; plain where it is unknown."""
    return decode_as(Message(text).type, text)


def decode_as(kind: str | None, text: str | _native.WireText) -> Message:
    """Makes a frame whose type the engine has read an object of its class, without parsing it."""
    return Message(text) if kind is None else classes().get(kind, Message)(text)
