"""What an object consists of: the fields of a class, or the parameters of a function."""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from ._docstrings import read_docstring
from ._json import is_json
from ._jsonable import jsonable
from ._shape import BadValue, Shape, expected, problem

__all__ = [
    "NOTHING",
    "Hint",
    "Member",
    "alias_value",
    "annotated",
    "hints_of",
    "members_of",
    "object_shape",
]

NOTHING: Any = object()
"""The default of what has none."""

_QUALIFIERS = {"Required", "NotRequired", "ReadOnly"}


@dataclass(frozen=True, slots=True)
class Hint:
    """One member before its type is understood.

    Attributes:
        name: Its name.
        type: The type hint.
        required: Whether it has to be there.
        default: What it is otherwise; ``NOTHING`` where nobody says.
        description: What its class or function says of it.
    """

    name: str
    type: Any
    required: bool = True
    default: Any = NOTHING
    description: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """One member, understood.

    Attributes:
        hint: What it was made of.
        shape: What its type means.
    """

    hint: Hint
    shape: Shape

    def schema(self) -> dict[str, Any]:
        """Its schema, with what its owner says of it."""
        schema = dict(self.shape.schema)
        if self.hint.description:
            # Annotated text says more of this very member than a docstring does.
            schema.setdefault("description", self.hint.description)
        if self.hint.default is not NOTHING:
            try:
                default = jsonable(self.hint.default)
            except (TypeError, RecursionError):
                return schema  # it is there all the same, but cannot be shown
            if is_json(default):
                schema["default"] = default
        return schema


def object_shape(
    members: Iterable[Member], build: Callable[[dict[str, Any]], Any], description: str = ""
) -> Shape:
    """Understands an object with just these members.

    Args:
        members: What it consists of.
        build: Makes it of the loaded members that were given.
        description: What it is.
    """
    known = {member.hint.name: member for member in members}
    schema: dict[str, Any] = {"type": "object"}
    if description:
        schema["description"] = description
    schema["properties"] = {name: member.schema() for name, member in known.items()}
    required = [name for name, member in known.items() if member.hint.required]
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False

    def load(value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            raise problem(path or "arguments", "an object", value)
        return build(_load_members(known, value, path))

    return Shape(schema, load)


def _load_members(
    known: Mapping[str, Member], value: Mapping[str, Any], path: str
) -> dict[str, Any]:
    loaded: dict[str, Any] = {}
    problems: list[str] = []
    bug: Exception | None = None
    prefix = f"{path}." if path else ""
    for name, member in known.items():
        place = f"{prefix}{name}"
        if name in value:
            try:
                loaded[name] = member.shape.load(value[name], place)
            except BadValue as error:
                problems += error.problems
                bug = bug or error.bug
        elif member.hint.required:
            problems.append(f"{place}: expected {expected(member.shape.schema)}, but it is missing")
    for name in value:
        if name not in known:
            names = ", ".join(known) or "none"
            problems.append(f"{prefix}{name}: there is no such field (there are: {names})")
    if problems:
        raise BadValue(*problems, bug=bug)
    return loaded


def annotated(hint: Any) -> tuple[Any, str, tuple[Any, ...]]:
    """Splits a hint into the type, the text that describes it, and what else is annotated."""
    if get_origin(hint) is not Annotated:
        return hint, "", ()
    kind, *notes = get_args(hint)
    # ``typing_extensions.Doc`` keeps its text in ``documentation``.
    texts = [getattr(note, "documentation", note) for note in notes]
    rest = tuple(note for note, text in zip(notes, texts, strict=True) if not isinstance(text, str))
    return kind, " ".join(text.strip() for text in texts if isinstance(text, str)), rest


def hints_of(owner: Any, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Resolves the hints of a class or a function, also those that are texts.

    Args:
        owner: The class or the function.
        namespace: The local names where it was defined; they count for local definitions only.

    Raises:
        TypeError: A hint cannot be resolved.
    """
    local = "<locals>" in getattr(owner, "__qualname__", "")
    try:
        return get_type_hints(
            owner, localns=dict(namespace) if local else None, include_extras=True
        )
    except NameError as error:
        raise TypeError(
            f"a type hint cannot be resolved: {error}; import it outside of `if TYPE_CHECKING`, "
            "and define it first"
        ) from error


def alias_value(alias: Any) -> Any:
    """What a type alias stands for, with names in it that are texts resolved in its module."""
    holder = types.SimpleNamespace(__annotations__={"value": alias.__value__})
    names = vars(sys.modules[alias.__module__])
    return get_type_hints(holder, globalns=names, include_extras=True)["value"]


def members_of(kind: Any, namespace: Mapping[str, Any]) -> list[Hint] | None:
    """The fields of a dataclass, a TypedDict or a named tuple; ``None`` for other types."""
    if not isinstance(kind, type):
        return None
    if dataclasses.is_dataclass(kind):
        fields = _of_dataclass
    elif issubclass(kind, dict) and hasattr(kind, "__total__"):
        fields = _of_typed_dict
    elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
        fields = _of_named_tuple
    else:
        return None
    texts = read_docstring(kind.__doc__).members
    hints = hints_of(kind, namespace)
    return [
        dataclasses.replace(hint, description=hint.description or texts.get(hint.name, ""))
        for hint in fields(kind, hints)
    ]


def _of_dataclass(kind: Any, hints: Mapping[str, Any]) -> list[Hint]:
    found = []
    plain = {field.name for field in dataclasses.fields(kind)}
    for field in kind.__dataclass_fields__.values():
        hint = hints[field.name]
        # What is no field may be one for ``__init__`` alone, or of the class.
        if not field.init or (field.name not in plain and not _is_of_init(hint)):
            continue
        default: Any = NOTHING if field.default is dataclasses.MISSING else field.default
        # Other factories may have effects, or give something else each time.
        if field.default_factory in (list, dict, set, tuple):
            default = field.default_factory()
        required = default is NOTHING and field.default_factory is dataclasses.MISSING
        description = field.metadata.get("description", "")
        found.append(Hint(field.name, _kind_of_init(hint), required, default, description))
    return found


def _is_of_init(hint: Any) -> bool:
    return hint is dataclasses.InitVar or isinstance(hint, dataclasses.InitVar)


def _kind_of_init(hint: Any) -> Any:
    if not _is_of_init(hint):
        return hint
    return Any if hint is dataclasses.InitVar else hint.type


def _of_typed_dict(kind: Any, hints: Mapping[str, Any]) -> list[Hint]:
    found = []
    for name, given in hints.items():
        hint, required = given, name in kind.__required_keys__
        # Where hints are texts, Python has not seen the qualifier when it made the class.
        while (qualifier := _qualifier(hint)) is not None:
            required = qualifier == "Required" if qualifier != "ReadOnly" else required
            (hint,) = get_args(hint)
        found.append(Hint(name, hint, required))
    return found


def _of_named_tuple(kind: Any, hints: Mapping[str, Any]) -> list[Hint]:
    defaults = kind._field_defaults
    return [
        Hint(name, hints.get(name, Any), name not in defaults, defaults.get(name, NOTHING))
        for name in kind._fields
    ]


def _qualifier(hint: Any) -> str | None:
    """By name: before Python 3.11 they come from ``typing_extensions``, if at all."""
    name = getattr(get_origin(hint), "_name", None)
    return name if name in _QUALIFIERS else None
