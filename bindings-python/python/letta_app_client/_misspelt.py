"""Whether a name that nobody knows was meant for one that is known.

A field of a later server is let through; one that is a slip away from another would go over the
wire, where the server ignores it, and nobody would ever know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ._fields import FIELDS, OBJECTS
from .errors import InvalidCommand

__all__ = ["meant", "refuse_misspelt", "refuse_misspelt_input"]

_LIKENESS = 0.75
_SLIPS = 2
"""How many letters may be other ones: ``client_tool_denylist`` is no slip of an allowlist."""


def refuse_misspelt(command: str, fields: Mapping[str, Any]) -> None:
    """Looks at the fields that a method of the client was given by name.

    Raises:
        InvalidCommand: One of them is a slip away from a field, or from ``timeout``.
    """
    unknown = fields.keys() - FIELDS[command]
    if unknown:
        _look(command, "", sorted(unknown), (*FIELDS[command], "timeout"))


def refuse_misspelt_input(payload: object) -> None:
    """Looks at the fields of an input's payload and of its messages.

    Raises:
        InvalidCommand: One of them is a slip away from another.
    """
    # What is something else is told by the check of the whole command.
    if not isinstance(payload, Mapping):
        return
    _look_inside("payload", "payload", payload)
    messages = payload.get("messages")
    if isinstance(messages, (list, tuple)):
        for index, message in enumerate(messages):
            if isinstance(message, Mapping):
                _look_inside("payload.messages", f"payload.messages[{index}]", message)


def meant(name: str, known: Iterable[str]) -> str | None:
    """The known name that an unknown one is a slip of: two letters at most, or its notation."""
    from difflib import SequenceMatcher, get_close_matches  # noqa: PLC0415 - for who misspells one

    plain = {_plain(each): each for each in known}
    for near in get_close_matches(_plain(name), plain, 3, _LIKENESS):
        changes = SequenceMatcher(None, _plain(name), near).get_opcodes()
        slips = sum(max(b - a, d - c) for kind, a, b, c, d in changes if kind != "equal")
        if slips <= _SLIPS:
            return plain[near]
    return None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _look_inside(kind: str, path: str, given: Mapping[Any, Any]) -> None:
    unknown = given.keys() - OBJECTS[kind]
    if unknown:
        texts = sorted(name for name in unknown if isinstance(name, str))
        _look("input", f"{path}.", texts, OBJECTS[kind])


def _look(command: str, path: str, unknown: Iterable[str], known: Collection[str]) -> None:
    for name in unknown:
        near = meant(name, known)
        if near is not None:
            raise InvalidCommand(
                f"`{command}`: field `{path}{name}`: is no field of this command; "
                f"did you mean `{near}`?",
                hint="a whole command, given to request, may have any field",
            )
