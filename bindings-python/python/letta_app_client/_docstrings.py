"""Reads docstrings: what a function is for, and what each of its parameters means."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Docstring", "read_docstring"]

_MEMBERS = {"args", "arguments", "attributes", "parameters", "params", "other parameters", "fields"}
_OTHERS = {
    "example",
    "examples",
    "note",
    "notes",
    "raises",
    "references",
    "return",
    "returns",
    "see also",
    "todo",
    "warning",
    "warnings",
    "warns",
    "yield",
    "yields",
}
_TITLES = _MEMBERS | _OTHERS
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\(.*?\))?\s*:(?:\s+(.*)|$)")
_NUMPY_ENTRY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_REST_FIELD = re.compile(r":(\w+)((?:\s+[^\s:]+)*)\s*:\s*(.*)$")
_REST_MEMBERS = {"param", "parameter", "arg", "argument", "key", "keyword", "ivar", "var", "cvar"}
_RULE = re.compile(r"-{3,}\s*$")


@dataclass(slots=True)
class Docstring:
    """What a docstring says.

    Attributes:
        description: The text before the first section.
        members: What it says of each parameter or attribute, on one line, by name.
    """

    description: str = ""
    members: dict[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> Docstring:
    """Understands the styles of Google, numpy and reStructuredText, also mixed."""
    lines = inspect.cleandoc(text or "").splitlines()
    start, members = len(lines), dict[str, str]()
    place = 0
    while place < len(lines):
        title, body = _heading(lines, place)
        if title is None and not _REST_FIELD.match(lines[place]):
            place += 1
            continue
        start = min(start, place)
        if title is None:
            end = _end_of_field(lines, place)
            members.update(_rest(lines[place:end]))
        else:
            end = _end_of_section(lines, body, numpy=body == place + 2)
            if title in _MEMBERS:
                entries = _numpy if body == place + 2 else _google
                members.update(entries(lines[body:end]))
        place = end
    return Docstring("\n".join(lines[:start]).strip(), members)


def _heading(lines: list[str], place: int) -> tuple[str | None, int]:
    """The title of the section that begins at a line, and where its body begins."""
    line = lines[place].strip().lower()
    if line in _TITLES and place + 1 < len(lines) and _RULE.match(lines[place + 1]):
        return line, place + 2
    return (line[:-1] if line.endswith(":") and line[:-1] in _TITLES else None), place + 1


def _end_of_section(lines: list[str], body: int, *, numpy: bool) -> int:
    for place in range(body, len(lines)):
        title, _ = _heading(lines, place)
        at_margin = bool(lines[place][:1].strip())
        if at_margin and (title is not None or not numpy or _REST_FIELD.match(lines[place])):
            return place
    return len(lines)


def _end_of_field(lines: list[str], place: int) -> int:
    for end in range(place + 1, len(lines)):
        if lines[end][:1].strip() or not lines[end].strip():
            return end
    return len(lines)


def _google(lines: list[str]) -> dict[str, str]:
    filled = [line for line in lines if line.strip()]
    margin = min((_indent(line) for line in filled), default=0)
    found: dict[str, list[str]] = {}
    name = ""
    for line in filled:
        entry = _GOOGLE_ENTRY.match(line.strip()) if _indent(line) == margin else None
        if entry:
            name = entry[1]
            found[name] = [entry[2] or ""]
        elif name:
            found[name].append(line)
    return _joined(found)


def _numpy(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in lines:
        entry = _NUMPY_ENTRY.match(line)
        if entry:
            names = [name.strip(" *") for name in entry[1].split(",")]
            found.update({name: [] for name in names})
            continue
        for name in names:
            found[name].append(line)
    return _joined(found)


def _rest(lines: list[str]) -> dict[str, str]:
    entry = _REST_FIELD.match(lines[0])
    words = entry[2].split() if entry else []
    if entry is None or entry[1] not in _REST_MEMBERS or not words:
        return {}
    return _joined({words[-1]: [entry[3], *lines[1:]]})


def _joined(found: dict[str, list[str]]) -> dict[str, str]:
    texts = {name: _one_line(lines) for name, lines in found.items()}
    return {name: text for name, text in texts.items() if text}


def _one_line(lines: Iterable[str]) -> str:
    return " ".join(word for line in lines for word in line.split())


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
