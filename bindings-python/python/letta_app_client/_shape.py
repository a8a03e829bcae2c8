"""What a type hint means: the JSON Schema that a model is shown, and how its values are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ._said import said

__all__ = ["BadValue", "Load", "Shape", "checks", "expected", "problem", "shown"]

Load: TypeAlias = "Callable[[Any, str], Any]"
"""Turns a JSON value into the hinted type. It also gets the path of the value, for errors."""

_SHOWN = 80
_WORDS = {
    "array": "an array",
    "boolean": "true or false",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "text",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One type hint, understood.

    Attributes:
        schema: Its JSON Schema; not to be changed.
        load: Reads a value of it; raises ``BadValue``.
    """

    schema: dict[str, Any]
    load: Load


class BadValue(Exception):
    """Values that are not what was asked for.

    Attributes:
        problems: One line for each, which begins with the path of the value.
        bug: What a check of the program has raised that is no complaint about a value.
    """

    def __init__(self, *problems: str, bug: Exception | None = None) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
        self.bug = bug


def problem(path: str, wanted: str, value: object, *, bug: Exception | None = None) -> BadValue:
    """Says what was expected at a place, and what came."""
    return BadValue(f"{path}: expected {wanted}, got {shown(value)}", bug=bug)


def checks(path: str, name: str, value: object, raised: Exception) -> BadValue:
    """Says what a type's own check has raised: as pydantic has it, some errors are complaints."""
    bug = None if isinstance(raised, (ValueError, AssertionError)) else raised
    return problem(path, f"a valid {name} ({said(raised)})", value, bug=bug)


def shown(value: object) -> str:
    """A value as JSON, shortened: so a text cannot be taken for a number."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def expected(schema: Mapping[str, Any]) -> str:
    """What a schema asks for, in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(expected(option) for option in schema["anyOf"]))
    if "enum" in schema:
        return "one of " + ", ".join(shown(value) for value in schema["enum"])
    if "$ref" in schema:
        return f"an object ({str(schema['$ref']).rpartition('/')[2]})"
    words = _WORDS.get(schema.get("type", ""), "another value")
    if "format" in schema:
        return f"{words} ({schema['format']})"
    return f"{words} ({schema['contentEncoding']})" if "contentEncoding" in schema else words
