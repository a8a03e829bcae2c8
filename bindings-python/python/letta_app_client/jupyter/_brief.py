"""The beginning of a value's representation, without making all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["brief", "is_cut"]

_DEEPEST = 20
_MORE = "…"
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}


def is_cut(value: Any) -> bool:
    """Whether ``brief`` makes less of it where it is long."""
    return type(value) in (str, bytes, *_BRACKETS)


def brief(value: Any, room: int, depth: int = 0) -> str:
    """What ``repr`` gives, if that has so many characters at most; else about as many of them.

    Nothing is made of the items of lists, sets and dictionaries that have no room.
    """
    if room <= 0 or depth > _DEEPEST:
        return _MORE
    kind = type(value)
    if kind in (str, bytes):
        return repr(value) if len(value) <= room else f"{value[:room]!r}{_MORE}"
    if kind not in _BRACKETS or (not value and kind in (set, frozenset)):
        return repr(value)
    begin, end = _BRACKETS[kind]
    if kind is tuple and len(value) == 1:
        end = ",)"
    return f"{begin}{', '.join(_items(value, room, depth + 1))}{end}"


def _items(value: Any, room: int, depth: int) -> Iterator[str]:
    items: Iterable[Any] = value.items() if type(value) is dict else value
    for item in items:
        if room <= 0:
            yield _MORE
            return
        if type(value) is dict:
            key = brief(item[0], room, depth)
            text = f"{key}: {brief(item[1], room - len(key), depth)}"
        else:
            text = brief(item, room, depth)
        room -= len(text) + 2
        yield text
