"""From Python values to the text of a command."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import InvalidCommand
from .messages import Fields

__all__ = ["encode", "encode_unicode", "is_json", "text_of"]


def _plain(value: Any) -> Any:
    """Lets mappings that are no dicts into JSON, among them the package's own messages."""
    if isinstance(value, Fields):
        return value.raw
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def encode(command: Any) -> str:
    """Writes a command as JSON.

    Half a surrogate pair in a text, which has no bytes of its own, becomes an escape as in
    JavaScript. Not in what tells commands and conversations apart: the server would answer
    with silence, or under a name that is another one.

    Raises:
        InvalidCommand: The value is not a mapping or holds something that is not JSON; the message
            names the path to it.
    """
    return _written(command, halves=True)


def encode_unicode(value: Any) -> str:
    """Writes what is read here again, by those who want Unicode and nothing else.

    Raises:
        InvalidCommand: As ``encode``, and for every half of a surrogate pair.
    """
    return _written(value, halves=False)


def _written(command: Any, *, halves: bool) -> str:
    if not isinstance(command, Mapping):
        raise InvalidCommand(f"command: expected a mapping, got {type(command).__name__}")
    try:
        text = _ENCODER.encode(command)
        if not _is_unicode(text):
            problem = _find(command, "", _ID if halves else _ANY)
            if problem is not None:
                raise InvalidCommand(problem)
            text = _ESCAPING.encode(command)
        if not _has_text_keys(command):
            # They would be written as text without a word.
            raise TypeError("every key has to be text")  # noqa: TRY301
    except RecursionError:
        raise InvalidCommand("command: nested too deeply, or it contains itself") from None
    except (TypeError, ValueError) as error:
        problem = _find(command, "", _ANY) or f"command: {error}"
        raise InvalidCommand(problem) from None
    return text


def text_of(value: Any, name: str) -> str:
    """Writes a value of plain types, which has a name, as JSON without white space.

    A number that JSON does not have becomes null: where tables have gaps, pandas has such numbers.

    Raises:
        ValueError: A whole number is too long to be written; the message begins with the name.
    """
    try:
        return _TIGHT.encode(value)
    except ValueError:
        pass
    try:
        return _TIGHT.encode(_finite(value))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def is_json(value: Any) -> bool:
    """Whether a value of plain types can be sent: a text may be none, nor a number."""
    try:
        encode_unicode({"value": value})
    except InvalidCommand:
        return False
    return True


def _has_text_keys(command: Mapping[Any, Any]) -> bool:
    """Looks through a value that is known to be finite."""
    rest: list[Any] = [command]
    while rest:
        value = rest.pop()
        if type(value) is not dict:
            if isinstance(value, Mapping):
                value = _plain(value)
            elif isinstance(value, (list, tuple)):
                rest += [item for item in value if type(item) not in _SCALARS]
                continue
            else:
                continue
        if not (_TEXTS.issuperset(map(type, value)) or all(isinstance(key, str) for key in value)):
            return False
        rest += [item for item in value.values() if type(item) not in _SCALARS]
    return True


def _is_unicode(text: str) -> bool:
    """Whether it holds no half of a surrogate pair."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _find(value: Any, path: str, whole: re.Pattern[str], depth: int = 0) -> str | None:
    """Says where the first value is that is not JSON, or no Unicode where it has to be."""
    if depth > _DEEPEST:
        return None
    items: Iterable[tuple[str, Any]] = ()
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                return f"{_where(path)}: expected text as key, got {key!r} ({type(key).__name__})"
            if not _is_unicode(key):
                return f"{_where(path)}: the key {key!r} {_HALF}"
        items = ((f"{path}.{key}".lstrip("."), item) for key, item in value.items())
    elif isinstance(value, (list, tuple)):
        items = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    elif (problem := _problem(value, must_be_unicode=bool(whole.search(path)))) is not None:
        return f"{_where(path)}: {problem}"
    found = (_find(item, place, whole, depth + 1) for place, item in items)
    return next((problem for problem in found if problem is not None), None)


def _where(path: str) -> str:
    return f"field `{path}`" if path else "command"


def _problem(value: Any, *, must_be_unicode: bool) -> str | None:
    """Says why a value that holds no others is not JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"expected a finite number, got {value}"
    if isinstance(value, str):
        if must_be_unicode and not _is_unicode(value):
            return f"the text {_HALF}"
    elif value is not None and not isinstance(value, (bool, int, float)):
        return f"expected a JSON value, got {type(value).__name__}"
    return None


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain
)
_TIGHT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_ESCAPING = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain)

_HALF = "contains half a surrogate pair, which is not Unicode"

# The paths of texts that have to be Unicode: all of them, or the names of things.
_ANY = re.compile("")
_ID = re.compile(r"(^|[._])(type|kind|id|ids)(\[\d+\])*$")

# To be looked up, which is quicker than to ask for base classes.
_TEXTS = frozenset({str})
_SCALARS = frozenset({str, int, float, bool, type(None)})

# A value that contains itself has no deepest place.
_DEEPEST = 50
