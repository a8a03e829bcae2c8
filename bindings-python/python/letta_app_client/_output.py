"""What a program wants a turn to come to: the type, its schema, and how values of it are read."""

from __future__ import annotations

import json
from inspect import currentframe
from typing import Any

from ._pydantic import REF
from ._schema import Schemas
from ._shape import BadValue

__all__ = ["Output"]

_VALUE = "result"
"""What a value without fields is called, here and by the engine."""
_PACKAGE = __name__.partition(".")[0]


class Output:
    """A type, understood.

    Attributes:
        schema: Its JSON Schema.
    """

    def __init__(self, kind: Any) -> None:
        """Understands a type, with the local names of the program that is being called for.

        Raises:
            TypeError: JSON has no such values.
        """
        schemas = Schemas(_names_of_the_program())
        try:
            self._shape = schemas.shape(kind)
        except TypeError as error:
            raise TypeError(f"output_type: {error}") from error
        self.schema = _whole(self._shape.schema, schemas.definitions)
        described = self.schema.get("type")
        self._is_object = described == "object" or (
            described is None and "properties" in self.schema
        )

    def ordered(self, tool: dict[str, Any]) -> dict[str, Any]:
        """The engine's definition of the tool, with the fields in the order of the type.

        A model writes them in that order: what is to be thought of first stands first.
        """
        if self._is_object:
            parameters = dict(self.schema)
            if "required" in parameters:
                # What the server is told of that is the engine's word.
                parameters["required"] = tool["parameters"]["required"]
            return {**tool, "parameters": parameters}
        parameters, schema = dict(tool["parameters"]), dict(self.schema)
        if "$defs" in schema:
            parameters["$defs"] = schema.pop("$defs")
        return {**tool, "parameters": {**parameters, "properties": {_VALUE: schema}}}

    def load(self, value: Any) -> Any:
        """Builds the object.

        Raises:
            BadValue: The value is not of the type; each problem begins with the field.
        """
        try:
            return self._shape.load(value, "" if self._is_object else _VALUE)
        except BadValue as error:
            problems = (_named(problem) for problem in error.problems)
            raise BadValue(*problems, bug=error.bug) from None


def _names_of_the_program() -> dict[str, Any]:
    """What is local to whoever waits for this package: hints that are texts may name it."""
    frame = currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith(_PACKAGE):
        frame = frame.f_back
    return {} if frame is None else dict(frame.f_locals)


def _whole(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A schema that says at its top what it describes: the engine looks there for an object."""
    whole, others = dict(schema), dict(definitions)
    reference = whole.pop("$ref", None)
    if reference is not None:
        name = reference.removeprefix(REF)
        whole = {**others[name], **whole}
        if f'"{reference}"' not in json.dumps(others):
            del others[name]  # it does not contain itself
    return {**whole, "$defs": others} if others else whole


def _named(problem: str) -> str:
    """The path of a field begins with nothing; the whole value has no path at all."""
    path, colon, words = problem.partition(":")
    return f"{path.lstrip('.') or _VALUE}{colon}{words}"
