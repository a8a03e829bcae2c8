"""From type hints to JSON Schema (draft 2020-12), and to what reads values of it."""

from __future__ import annotations

import enum
import re
import types
from collections import abc
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NewType, TypeVar, Union, get_args, get_origin

from ._docstrings import read_docstring
from ._members import Hint, Member, alias_value, annotated, members_of, object_shape
from ._pydantic import REF, adapted, is_of_pydantic
from ._scalars import choice, scalar
from ._shape import BadValue, Load, Shape, checks, expected, problem
from ._toolcontext import ToolContext

__all__ = ["Schemas"]

_DICTS = (dict, abc.Mapping, abc.MutableMapping)
_ARRAYS: dict[Any, Callable[[list[Any]], Any]] = {
    **dict.fromkeys((list, abc.Sequence, abc.MutableSequence), list),
    **dict.fromkeys((abc.Collection, abc.Iterable), list),
    **dict.fromkeys((set, abc.Set, abc.MutableSet), set),
    frozenset: frozenset,
    tuple: tuple,
}
"""What arrays become, by the type of the hint."""

_MODULES = ("typing", "types", "typing_extensions", "annotationlib")
"""Where the classes of hints are that are no classes themselves."""


class Schemas:
    """Understands the hints of one function, which share their ``$defs``.

    Attributes:
        definitions: The schemas of classes, by the names that references use.
    """

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        """Takes the local names where the function was defined."""
        self.definitions: dict[str, Any] = {}
        self._namespace = namespace
        self._names: dict[Any, str] = {}
        self._loads: dict[Any, Load] = {}
        self._adopted: dict[str, Any] = {}

    def shape(self, hint: Any) -> Shape:
        """Understands one hint.

        Raises:
            TypeError: JSON has no such values; the message names the type.
        """
        kind, text, notes = annotated(hint)
        if is_of_pydantic(kind, notes):
            shape = self._of_pydantic(hint if notes else kind)
        else:
            shape = self._of_type(kind)
        return Shape({**shape.schema, "description": text}, shape.load) if text else shape

    def members(self, hints: Iterable[Hint]) -> list[Member]:
        """Understands the hints of members; errors name the member."""
        found = []
        for hint in hints:
            try:
                found.append(Member(hint, self.shape(hint.type)))
            except TypeError as error:
                raise TypeError(f"{hint.name}: {error}") from error
        return found

    def _of_type(self, kind: Any) -> Shape:
        if kind is Any or kind is object:
            return Shape({}, lambda value, _: value)
        if kind is ToolContext:
            raise TypeError("a ToolContext has to be a parameter of its own, alone or with None")
        if _is_value(kind):
            raise TypeError(_no_type(kind))
        if isinstance(kind, (TypeVar, NewType)):
            return self.shape(_underlying(kind))
        if (found := scalar(kind)) is not None:
            return found
        if type(kind).__name__ == "TypeAliasType":
            return self._named(kind, lambda: self.shape(alias_value(kind)))
        if (fields := members_of(kind, self._namespace)) is not None:
            return self._named(kind, lambda: self._of_class(kind, fields))
        return self._of_generic(kind, get_origin(kind) or kind, get_args(kind))

    def _of_generic(self, kind: Any, origin: Any, arguments: tuple[Any, ...]) -> Shape:
        if origin is Literal:
            return choice((_plain(value), value) for value in arguments)
        if origin in (Union, types.UnionType):
            return _union([self.shape(option) for option in arguments])
        if origin is tuple and kind is not tuple and arguments[-1:] != (...,):
            # Python 3.10 may say that ``tuple[()]`` has one argument, which is empty.
            return _row([self.shape(item) for item in arguments if item != ()])
        if origin in _DICTS:
            return self._of_mapping(*(arguments or (str, Any)))
        if origin not in _ARRAYS:
            raise TypeError(f"no JSON Schema for {_name(kind)}")
        return _array(self.shape(arguments[0] if arguments else Any), _ARRAYS[origin])

    def _of_mapping(self, key: Any, item: Any) -> Shape:
        values = self.shape(item)
        keys = self.shape(str if key is Any else key)
        names = keys.schema.get("enum")
        if keys.schema.get("type") != "string":
            raise TypeError(f"the keys of an object are text in JSON, not {_name(key)}")
        schema: dict[str, Any] = {"type": "object"}
        if names or keys.schema.keys() - {"type", "description"}:
            schema["propertyNames"] = {"enum": names} if names else keys.schema
        if values.schema:
            schema["additionalProperties"] = values.schema

        def load(value: Any, path: str) -> Any:
            if not isinstance(value, Mapping):
                raise problem(path, "an object", value)
            return {
                keys.load(name, f"{path}, as a key" if path else "a key"): values.load(
                    one, f"{path}.{name}"
                )
                for name, one in value.items()
            }

        return Shape(schema, load)

    def _of_class(self, kind: Any, fields: list[Hint]) -> Shape:
        def build(loaded: dict[str, Any]) -> Any:
            return kind(**loaded)

        text = kind.__doc__ or ""
        # Dataclasses and named tuples without a docstring get their signature as one.
        if text.startswith(f"{kind.__name__}("):
            text = ""
        description = read_docstring(text).description
        shape = object_shape(self.members(fields), build, description)
        if issubclass(kind, dict):
            return shape

        def load(value: Any, path: str) -> Any:
            try:
                return shape.load(value, path)
            except BadValue:
                raise
            except Exception as error:
                # The class has checks of its own.
                raise checks(path, kind.__name__, value, error) from error

        return Shape(shape.schema, load)

    def _named(self, kind: Any, make: Callable[[], Shape]) -> Shape:
        """Refers to a definition, which is made the first time: so it may contain itself."""
        if kind not in self._names:
            name = self._names[kind] = self._free(kind.__name__)
            self.definitions[name] = {}
            made = make()
            self.definitions[name], self._loads[kind] = made.schema, made.load

        # Not by way of this object: that would keep the namespace.
        loads = self._loads

        def load(value: Any, path: str) -> Any:
            return loads[kind](value, path)

        return Shape({"$ref": f"{REF}{self._names[kind]}"}, load)

    def _of_pydantic(self, hint: Any) -> Shape:
        shape = adapted(hint)
        schema = dict(shape.schema)
        batch = schema.pop("$defs", {})
        if isinstance(hint, type) and schema.get("type") == "object":
            name = _identifier(hint.__name__)
            batch, schema = {**batch, name: schema}, {"$ref": f"{REF}{name}"}
        same = {name: one for name, one in batch.items() if self._adopted.get(name) == one}
        renamed = {name: name for name in batch}
        if any(name in self.definitions and name not in same for name in batch):
            # Another class of that name is there. They refer to each other: all get new names.
            renamed = {name: self._free(name) for name in batch}
        self._adopted.update({renamed[name]: one for name, one in batch.items()})
        for name, one in batch.items():
            self.definitions[renamed[name]] = _renamed(one, renamed)
        return Shape(_renamed(schema, renamed), shape.load)

    def _free(self, name: str) -> str:
        plain = _identifier(name)
        free, number = plain, 1
        while free in self.definitions:
            number += 1
            free = f"{plain}_{number}"
        return free


def _underlying(kind: Any) -> Any:
    if isinstance(kind, TypeVar):
        return kind.__bound__ or Union[kind.__constraints__ or (Any,)]  # noqa: UP007 - of a tuple
    return kind.__supertype__


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value


def _union(options: list[Shape]) -> Shape:
    schemas: list[dict[str, Any]] = []
    for option in options:
        inner = option.schema.get("anyOf") if option.schema.keys() == {"anyOf"} else None
        schemas += [one for one in inner or [option.schema] if one not in schemas]
    schema = {"anyOf": schemas} if len(schemas) > 1 else schemas[0]

    def load(value: Any, path: str) -> Any:
        """Reads it as the first option that fits, in the order written."""
        failures = []
        for option in options:
            try:
                return option.load(value, path)
            except BadValue as error:
                if option.schema != {"type": "null"}:
                    failures.append(error)
        # With a single option beside null, its own complaint says more.
        if len(failures) == 1:
            raise failures[0]
        bug = next((failure.bug for failure in failures if failure.bug is not None), None)
        raise problem(path, expected(schema), value, bug=bug)

    return Shape(schema, load)


def _array(item: Shape, build: Callable[[list[Any]], Any]) -> Shape:
    schema: dict[str, Any] = {"type": "array"}
    if item.schema:
        schema["items"] = item.schema
    if build in (set, frozenset):
        schema["uniqueItems"] = True

    def load(value: Any, path: str) -> Any:
        if not isinstance(value, (list, tuple)):
            raise problem(path, "an array", value)
        items = [item.load(one, f"{path}[{index}]") for index, one in enumerate(value)]
        try:
            return build(items)
        except TypeError:
            raise problem(path, "an array of values without parts", value) from None

    return Shape(schema, load)


def _row(items: list[Shape]) -> Shape:
    count = len(items)
    schema: dict[str, Any] = {"type": "array", "minItems": count, "maxItems": count}
    if items:
        schema["prefixItems"] = [item.schema for item in items]

    def load(value: Any, path: str) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != count:
            raise problem(path, f"an array of {count}", value)
        pairs = zip(items, value, strict=True)
        return tuple(item.load(one, f"{path}[{i}]") for i, (item, one) in enumerate(pairs))

    return Shape(schema, load)


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """Lets references lead to the new names: those of ``$ref`` and of discriminators."""
    if isinstance(schema, list):
        return [_renamed(item, names) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _referring(key, item, names) for key, item in schema.items()}


def _referring(key: str, item: Any, names: Mapping[str, str]) -> Any:
    if key == "$ref" and isinstance(item, str) and item.startswith(REF):
        name = item.removeprefix(REF)
        return f"{REF}{names.get(name, name)}"
    if key == "mapping" and isinstance(item, dict):
        return {tag: _referring("$ref", one, names) for tag, one in item.items()}
    return _renamed(item, names)


def _identifier(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)


def _is_value(kind: Any) -> bool:
    """Whether it is no hint at all: neither a class nor what the modules of types make."""
    if kind is None or isinstance(kind, type) or get_origin(kind) is not None:
        return False
    return type(kind).__module__.partition(".")[0] not in _MODULES


def _no_type(value: Any) -> str:
    words = f"expected a type such as a dataclass or list[int], got {type(value).__name__}"
    if isinstance(value, list) and len(value) == 1 and not _is_value(value[0]):
        return f"{words}; did you mean list[{_name(value[0])}]?"
    return words


def _name(kind: Any) -> str:
    return kind.__qualname__ if isinstance(kind, type) and not get_args(kind) else repr(kind)
