"""The hints whose values hold no others: how they look in JSON, and how they are read."""

from __future__ import annotations

import base64
import enum
import uuid
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from pathlib import Path, PurePath
from typing import Any

from ._shape import Shape, expected, problem

__all__ = ["choice", "scalar"]

_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def scalar(hint: Any) -> Shape | None:
    """Understands a hint of a single value; ``None`` where it is of another kind."""
    if hint is None:
        hint = type(None)
    if hint in _PLAIN:
        schema, read = _PLAIN[hint]
        return _checked(schema, read)
    if hint in _TEXTS:
        schema, parse = _TEXTS[hint]
        return _checked({"type": "string", **schema}, _from_text(parse))
    if isinstance(hint, type) and issubclass(hint, PurePath):
        return _checked({"type": "string", "format": "path"}, _from_text(hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _enum(hint)
    return None


def choice(values: Iterable[tuple[Any, Any]]) -> Shape:
    """Understands a choice among pairs of a JSON value and what it stands for.

    Raises:
        TypeError: There is nothing to choose, or a value is none of JSON.
    """
    pairs = list(values)
    kinds = {type(value) for value, _ in pairs}
    if not pairs or not kinds <= _JSON_TYPES.keys():
        raise TypeError("a choice needs values, each text, a number, true, false or null")
    schema: dict[str, Any] = {"enum": [value for value, _ in pairs]}
    if len(kinds) == 1:
        schema = {"type": _JSON_TYPES[kinds.pop()], **schema}

    def load(value: Any, path: str) -> Any:
        for candidate, meaning in pairs:
            # By type as well: in Python true equals 1.
            if type(candidate) is type(value) and candidate == value:
                return meaning
        raise problem(path, expected(schema), value)

    return Shape(schema, load)


def _enum(kind: type[enum.Enum]) -> Shape:
    plain = [(_base(member.value), member) for member in kind]
    if all(type(value) in _JSON_TYPES for value, _ in plain):
        return choice(plain)
    return choice((member.name, member) for member in kind)


def _base(value: Any) -> Any:
    """The value of a member without its subclass: of ``class E(str, Enum)`` the plain text."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _checked(schema: dict[str, Any], read: Callable[[Any], Any]) -> Shape:
    def load(value: Any, path: str) -> Any:
        try:
            return read(value)
        except (TypeError, ValueError, OverflowError):
            raise problem(path, expected(schema), value) from None

    return Shape(schema, load)


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError
        return value

    return read


def _integer(value: Any) -> int:
    # In JSON Schema 5.0 is an integer, and some models write it so.
    if type(value) is int or (type(value) is float and value.is_integer()):
        return int(value)
    raise TypeError


def _number(value: Any) -> float:
    if type(value) in (int, float):
        return float(value)
    raise TypeError


def _from_text(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, str):
            raise TypeError
        return parse(value)

    return read


def _iso(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        # Python 3.10 does not know the letter.
        return parse(f"{text[:-1]}+00:00" if text[-1:] in ("Z", "z") else text)

    return read


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


_PLAIN: dict[Any, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    str: ({"type": "string"}, _exactly(str)),
    bool: ({"type": "boolean"}, _exactly(bool)),
    int: ({"type": "integer"}, _integer),
    float: ({"type": "number"}, _number),
    type(None): ({"type": "null"}, _exactly(type(None))),
}
_TEXTS: dict[Any, tuple[dict[str, Any], Callable[[str], Any]]] = {
    bytes: ({"contentEncoding": "base64"}, _base64),
    datetime: ({"format": "date-time"}, _iso(datetime.fromisoformat)),
    date: ({"format": "date"}, date.fromisoformat),
    time: ({"format": "time"}, _iso(time.fromisoformat)),
    uuid.UUID: ({"format": "uuid"}, uuid.UUID),
    Path: ({"format": "path"}, Path),
}
