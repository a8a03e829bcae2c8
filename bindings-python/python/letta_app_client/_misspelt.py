"""Whether a name that nobody knows was meant for one that is known.

A field of a later server is let through; one that is a slip away from another would go over the
wire, where the server ignores it, and nobody would ever know. A slip is little: ``model`` beside
``mode``, or ``agent`` beside ``agent_id``, may well be fields of a later server.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ._fields import FIELDS, OBJECTS
from .errors import InvalidCommand

__all__ = ["meant", "refuse_misspelt", "refuse_misspelt_input"]

_LONG = 6
"""Letters from which on one of them may be missing, too many or another: short words are near to
other words."""


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
    """The known name that an unknown one is a slip of.

    It is where it is only written in another notation (``agentId``), where two neighbours have
    changed places, or, in names of six letters or more, where one letter is missing, too many or
    another one.
    """
    plain = {_plain(each): each for each in known}
    near = (each for each in plain if _is_slip(_plain(name), each))
    return plain.get(_plain(name)) or next((plain[each] for each in near), None)


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _is_slip(name: str, known: str) -> bool:
    """Whether they differ in one place alone: what is left between equal beginnings and ends."""
    short, long = sorted((name, known), key=len)
    begin = _alike(short, long)
    rest = _alike(short[begin:][::-1], long[begin:][::-1])
    left, right = (each[begin : len(each) - rest] for each in (short, long))
    if len(left) == len(right) == 2:  # noqa: PLR2004 - neighbours
        return left == right[::-1]
    return len(short) >= _LONG and max(len(left), len(right)) <= 1


def _alike(short: str, long: str) -> int:
    """How many letters they begin with are the same."""
    pairs = enumerate(zip(short, long, strict=False))
    return next((at for at, (one, other) in pairs if one != other), len(short))


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
