"""Type hints with the schemas they have, written by hand, and values that fit or do not."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    TypedDict,
    TypeVar,
    Union,
)

import pydantic
from typing_extensions import Doc, NotRequired, Required, TypeAliasType

JsonDict = dict[str, Any]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Corner(enum.Enum):
    LEFT = (0, 0)
    RIGHT = (1, 0)


class Word(str, enum.Enum):
    YES = "yes"


@dataclass
class Point:
    """A place.

    Attributes:
        x: To the right.
    """

    x: int
    y: Annotated[int, "Up"] = 0


@dataclass
class Tree:
    name: str
    children: list[Tree] = field(default_factory=list)
    depth: int = field(default=0, init=False)
    note: str | None = field(default=None, metadata={"description": "Anything"})


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Loose(TypedDict, total=False):
    a: Required[Annotated[int, "An A"]]
    b: str


class Pair(NamedTuple):
    key: str
    value: float = 1.5


class Author(pydantic.BaseModel):
    name: str = pydantic.Field(description="Full name")
    age: int = pydantic.Field(default=1, ge=0)


class Book(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    author: Author
    sequel: Book | None = None


UserId = NewType("UserId", int)
T = TypeVar("T")
Bounded = TypeVar("Bounded", bound=str)
Number = TypeVar("Number", int, float)
Names = TypeAliasType("Names", list[Union[str, "Names"]])  # type: ignore[misc]

INT: JsonDict = {"type": "integer"}
NUMBER: JsonDict = {"type": "number"}
TEXT: JsonDict = {"type": "string"}
NULL: JsonDict = {"type": "null"}
POINT: JsonDict = {
    "type": "object",
    "description": "A place.",
    "properties": {
        "x": {"type": "integer", "description": "To the right."},
        "y": {"type": "integer", "description": "Up", "default": 0},
    },
    "required": ["x"],
    "additionalProperties": False,
}
TREE: JsonDict = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}, "default": []},
        "note": {"anyOf": [TEXT, NULL], "description": "Anything", "default": None},
    },
    "required": ["name"],
    "additionalProperties": False,
}
AUTHOR: JsonDict = {
    "title": "Author",
    "type": "object",
    "properties": {
        "name": {"title": "Name", "type": "string", "description": "Full name"},
        "age": {"title": "Age", "type": "integer", "default": 1, "minimum": 0},
    },
    "required": ["name"],
}
BOOK: JsonDict = {
    "title": "Book",
    "type": "object",
    "properties": {
        "author": {"$ref": "#/$defs/Author"},
        "sequel": {"anyOf": [{"$ref": "#/$defs/Book"}, NULL], "default": None},
    },
    "required": ["author"],
    "additionalProperties": False,
}

# The hint of a parameter `x`; its schema; `$defs`; values that fit; values that do not.
HINTS: dict[str, tuple[Any, JsonDict, JsonDict, list[Any], list[Any]]] = {
    "str": (str, TEXT, {}, ["", "a"], [1, None, ["a"]]),
    "int": (int, INT, {}, [0, -7, 5.0], ["5", 1.5, True, None]),
    "float": (float, NUMBER, {}, [1, 1.5], ["1", True, None]),
    "bool": (bool, {"type": "boolean"}, {}, [True, False], [0, "true", None]),
    "none": (None, NULL, {}, [None], [0, False, ""]),
    "any": (Any, {}, {}, [1, None, {"a": []}], []),
    "object": (object, {}, {}, [1, None, {"a": []}], []),
    "list": (list, {"type": "array"}, {}, [[], [1, "a"]], [{}, "a", None]),
    "list_of": (list[int], {"type": "array", "items": INT}, {}, [[], [1]], [["a"], [None], 1]),
    "sequence": (Sequence[str], {"type": "array", "items": TEXT}, {}, [["a"]], ["a", [1]]),
    "iterable": (Iterable[str], {"type": "array", "items": TEXT}, {}, [["a"]], ["a", [1]]),
    "nested_list": (
        list[list[bool]],
        {"type": "array", "items": {"type": "array", "items": {"type": "boolean"}}},
        {},
        [[], [[]], [[True]]],
        [[True], [[1]]],
    ),
    "tuple": (tuple, {"type": "array"}, {}, [[], [1, "a"]], [1]),
    "tuple_of_many": (tuple[int, ...], {"type": "array", "items": INT}, {}, [[], [1, 2]], [["a"]]),
    "tuple_of_two": (
        tuple[int, str],
        {"type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [INT, TEXT]},
        {},
        [[1, "a"]],
        [[1], [1, "a", 2], ["a", 1], 3],
    ),
    "tuple_of_none": (
        tuple[()],
        {"type": "array", "minItems": 0, "maxItems": 0},
        {},
        [[]],
        [[1]],
    ),
    "set": (set[int], {"type": "array", "items": INT, "uniqueItems": True}, {}, [[1, 2]], [["a"]]),
    "frozenset": (frozenset, {"type": "array", "uniqueItems": True}, {}, [[1, "a"]], ["a"]),
    "abstract_set": (
        AbstractSet[str],
        {"type": "array", "items": TEXT, "uniqueItems": True},
        {},
        [["a"]],
        [[1]],
    ),
    "dict": (dict, {"type": "object"}, {}, [{}, {"a": 1}], [[], "a", None]),
    "dict_of": (
        dict[str, int],
        {"type": "object", "additionalProperties": INT},
        {},
        [{}, {"a": 1}],
        [{"a": "b"}, [1]],
    ),
    "mapping_of_any": (Mapping[str, Any], {"type": "object"}, {}, [{"a": None}], [1]),
    "dict_of_choices": (
        dict[Literal["a", "b"], float],
        {
            "type": "object",
            "propertyNames": {"enum": ["a", "b"]},
            "additionalProperties": NUMBER,
        },
        {},
        [{"a": 1}, {"a": 1, "b": 2}],
        [{"c": 1}, {"a": "b"}],
    ),
    "optional": (Optional[int], {"anyOf": [INT, NULL]}, {}, [1, None], ["a", 1.5]),  # noqa: UP045
    "union": (Union[int, str], {"anyOf": [INT, TEXT]}, {}, [1, "a"], [None, [], 1.5]),  # noqa: UP007
    "new_union": (
        int | list[str] | None,
        {"anyOf": [INT, {"type": "array", "items": TEXT}, NULL]},
        {},
        [1, ["a"], None],
        ["a", [1]],
    ),
    "literal": (
        Literal["csv", "markdown"],
        {"type": "string", "enum": ["csv", "markdown"]},
        {},
        ["csv"],
        ["xml", 1, None],
    ),
    "literal_of_many": (
        Literal[1, "a", True, None],  # noqa: PYI061 - one hint of several kinds
        {"enum": [1, "a", True, None]},
        {},
        [1, "a", True, None],
        [2, "b", False],
    ),
    "literal_of_enum": (
        Literal[Colour.RED],
        {"type": "string", "enum": ["red"]},
        {},
        ["red"],
        ["blue", "RED"],
    ),
    "enum": (Colour, {"type": "string", "enum": ["red", "blue"]}, {}, ["red"], ["RED", 1]),
    "int_enum": (Level, {"type": "integer", "enum": [1, 2]}, {}, [1, 2], [3, "1"]),
    "str_enum": (Word, {"type": "string", "enum": ["yes"]}, {}, ["yes"], ["no"]),
    "enum_by_name": (
        Corner,
        {"type": "string", "enum": ["LEFT", "RIGHT"]},
        {},
        ["LEFT"],
        ["left", [0, 0]],
    ),
    "annotated": (
        Annotated[int, "How many", "at most"],
        {"type": "integer", "description": "How many at most"},
        {},
        [1],
        ["a"],
    ),
    "annotated_inside": (
        list[Annotated[str, "A file"]],
        {"type": "array", "items": {"type": "string", "description": "A file"}},
        {},
        [["a"]],
        [[1]],
    ),
    "annotated_doc": (
        Annotated[str, Doc("A file")],
        {"type": "string", "description": "A file"},
        {},
        ["a"],
        [1],
    ),
    "bytes": (
        bytes,
        {"type": "string", "contentEncoding": "base64"},
        {},
        ["", "aGk="],
        [1],
    ),
    "datetime": (
        datetime,
        {"type": "string", "format": "date-time"},
        {},
        ["2024-05-06T07:08:09Z", "2024-05-06T07:08:09+02:00"],
        [1, None],
    ),
    "date": (date, {"type": "string", "format": "date"}, {}, ["2024-05-06"], [20240506]),
    "time": (time, {"type": "string", "format": "time"}, {}, ["07:08:09"], [7]),
    "uuid": (uuid.UUID, {"type": "string", "format": "uuid"}, {}, [str(uuid.UUID(int=7))], [7]),
    "path": (Path, {"type": "string", "format": "path"}, {}, ["/a/b"], [1, None]),
    "new_type": (UserId, INT, {}, [1], ["a"]),
    "type_variable": (T, {}, {}, [1, "a"], []),
    "bounded_variable": (Bounded, TEXT, {}, ["a"], [1]),
    "constrained_variable": (Number, {"anyOf": [INT, NUMBER]}, {}, [1, 1.5], ["a"]),
    "recursive_alias": (
        Names,
        {"$ref": "#/$defs/Names"},
        {"Names": {"type": "array", "items": {"anyOf": [TEXT, {"$ref": "#/$defs/Names"}]}}},
        [[], ["a", ["b", []]]],
        ["a", [1], [["a", [2]]]],
    ),
    "dataclass": (
        Point,
        {"$ref": "#/$defs/Point"},
        {"Point": POINT},
        [{"x": 1}, {"x": 1, "y": 2}],
        [{}, {"x": "a"}, {"x": 1, "z": 2}, [1, 2], None],
    ),
    "dataclasses": (
        dict[str, list[Point | None]],
        {
            "type": "object",
            "additionalProperties": {
                "type": "array",
                "items": {"anyOf": [{"$ref": "#/$defs/Point"}, NULL]},
            },
        },
        {"Point": POINT},
        [{"a": [{"x": 1}, None]}],
        [{"a": [{}]}, {"a": {"x": 1}}],
    ),
    "recursive_dataclass": (
        Tree,
        {"$ref": "#/$defs/Tree"},
        {"Tree": TREE},
        [{"name": "a", "children": [{"name": "b"}], "note": None}],
        [{"name": "a", "children": [{}]}, {"name": "a", "depth": 1}],
    ),
    "typed_dict": (
        Movie,
        {"$ref": "#/$defs/Movie"},
        {
            "Movie": {
                "type": "object",
                "properties": {"title": TEXT, "year": INT},
                "required": ["title"],
                "additionalProperties": False,
            }
        },
        [{"title": "a"}, {"title": "a", "year": 1}],
        [{}, {"title": "a", "year": None}, {"title": "a", "x": 1}],
    ),
    "loose_typed_dict": (
        Loose,
        {"$ref": "#/$defs/Loose"},
        {
            "Loose": {
                "type": "object",
                "properties": {"a": {"type": "integer", "description": "An A"}, "b": TEXT},
                "required": ["a"],
                "additionalProperties": False,
            }
        },
        [{"a": 1}, {"a": 1, "b": "c"}],
        [{}, {"b": "c"}],
    ),
    "named_tuple": (
        Pair,
        {"$ref": "#/$defs/Pair"},
        {
            "Pair": {
                "type": "object",
                "properties": {"key": TEXT, "value": {"type": "number", "default": 1.5}},
                "required": ["key"],
                "additionalProperties": False,
            }
        },
        [{"key": "a"}, {"key": "a", "value": 2}],
        [{}, ["a", 1]],
    ),
    "model": (
        Author,
        {"$ref": "#/$defs/Author"},
        {"Author": AUTHOR},
        [{"name": "a"}, {"name": "a", "age": 0}],
        [{}, {"name": "a", "age": -1}, {"name": 1}],
    ),
    "recursive_model": (
        Book | None,
        {"anyOf": [{"$ref": "#/$defs/Book"}, NULL]},
        {"Author": AUTHOR, "Book": BOOK},
        [None, {"author": {"name": "a"}, "sequel": {"author": {"name": "b"}}}],
        [{}, {"author": {"name": "a"}, "sequel": 1}, {"author": {"name": "a"}, "x": 1}],
    ),
    "pydantic_field": (
        Annotated[int, pydantic.Field(ge=1, le=9), "A digit"],
        {"type": "integer", "minimum": 1, "maximum": 9, "description": "A digit"},
        {},
        [1, 9],
        [0, 10, "a"],
    ),
}
