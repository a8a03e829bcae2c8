"""The parameters of a tool: their JSON Schema, and what becomes of the model's arguments."""

from __future__ import annotations

import copy
import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Union, get_args, get_origin

from . import _native
from ._docstrings import Docstring, read_docstring
from ._json import encode_unicode
from ._members import Hint, annotated, hints_of, object_shape
from ._schema import Schemas
from ._shape import Shape
from ._toolcontext import ToolContext

__all__ = ["Signature"]

_REFUSED = {
    inspect.Parameter.VAR_POSITIONAL: "*args",
    inspect.Parameter.VAR_KEYWORD: "**kwargs",
    inspect.Parameter.POSITIONAL_ONLY: "a positional-only parameter",
}


class Signature:
    """What a function takes.

    Attributes:
        documentation: What its docstring says.
    """

    def __init__(self, function: Callable[..., Any], namespace: Mapping[str, Any]) -> None:
        """Understands a function, with the local names where it was defined.

        Raises:
            TypeError: A parameter cannot be described to a model; the message names it.
        """
        self._contexts: list[str] = []
        self.documentation: Docstring = read_docstring(_plain(function).__doc__)
        schemas = Schemas(namespace)
        members = schemas.members(self._hints(function, namespace))
        self._shape: Shape = object_shape(members, lambda loaded: loaded)
        self._schema = {"type": "object", "properties": {}, **self._shape.schema}
        if schemas.definitions:
            self._schema["$defs"] = schemas.definitions
        self._nullable = _native.nullable_parameters(encode_unicode(self._schema))

    def schema(self) -> dict[str, Any]:
        """A copy of the JSON Schema of the arguments."""
        return copy.deepcopy(self._schema)

    def registered(self) -> dict[str, Any]:
        """The same as the server gets it: what may be null is not required.

        It refuses a call in which a required parameter is missing, and takes null for missing.
        """
        schema = self.schema()
        if self._nullable:
            schema["required"] = [name for name in schema["required"] if name not in self._nullable]
        return schema

    def load(self, arguments: Any, context: ToolContext | None) -> dict[str, Any]:
        """Makes keyword arguments of the model's; raises ``BadValue``."""
        if self._nullable and isinstance(arguments, Mapping):
            arguments = {**dict.fromkeys(self._nullable), **arguments}
        loaded: dict[str, Any] = self._shape.load(arguments, "")
        given = {} if context is None else dict.fromkeys(self._contexts, context)
        return {**loaded, **given}

    def _hints(self, function: Callable[..., Any], namespace: Mapping[str, Any]) -> list[Hint]:
        hints = hints_of(_plain(function), namespace)
        found = []
        try:
            parameters = inspect.signature(function).parameters
        except ValueError as error:
            raise TypeError(str(error)) from error  # some that are written in C have none
        for name, parameter in parameters.items():
            if parameter.kind in _REFUSED:
                raise TypeError(
                    f"{name}: {_REFUSED[parameter.kind]} cannot be described to a model; "
                    "use named parameters"
                )
            if name in {"self", "cls"} and name not in hints:
                raise TypeError(
                    f"{name}: only a bound method can become a tool: tool(thing.method)"
                )
            kind = hints.get(name, Any)
            if _is_context(kind):
                self._contexts.append(name)
            else:
                found.append(self._hint(parameter, kind))
        return found

    def _hint(self, parameter: inspect.Parameter, kind: Any) -> Hint:
        description = self.documentation.members.get(parameter.name, "")
        if parameter.default is parameter.empty:
            return Hint(parameter.name, kind, description=description)
        if parameter.default is None and kind is not Any:
            # ``x: int = None`` means that None is fine, whatever the hint says.
            kind = _or_none(kind)
        return Hint(
            parameter.name,
            kind,
            required=False,
            default=parameter.default,
            description=description,
        )


def _plain(function: Any) -> Any:
    """What has the hints and the docstring of a callable."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or isinstance(function, type):
        return function
    return type(function).__call__


def _is_context(hint: Any) -> bool:
    kind, _, _ = annotated(hint)
    if get_origin(kind) in (Union, types.UnionType):
        return set(get_args(kind)) == {ToolContext, type(None)}
    return kind is ToolContext


def _or_none(hint: Any) -> Any:
    kind, _, _ = annotated(hint)
    if get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind):
        return hint
    return Union[hint, None]  # noqa: UP007 - hints of typing do not all know the operator
