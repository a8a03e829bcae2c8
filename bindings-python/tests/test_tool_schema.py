"""The JSON Schemas of functions. Those of single hints are in ``tool_hints``."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import (
    Annotated,
    Any,
    ClassVar,
    Generic,
    Literal,
    Union,
)

import pydantic
import pytest
from jsonschema import Draft202012Validator

from letta_app_client.tools import Tool, ToolContext, tool
from tests.tool_hints import (
    AUTHOR,
    BOOK,
    HINTS,
    INT,
    NULL,
    TEXT,
    Author,
    Book,
    Colour,
    JsonDict,
    Point,
    T,
)


def accepts(made: Tool[..., Any], arguments: Any) -> bool:
    try:
        made.load(arguments)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", HINTS)
def test_the_schema_of_a_hint(name: str) -> None:
    hint, schema, definitions, good, bad = HINTS[name]

    def function(x: Any) -> None: ...

    function.__annotations__["x"] = hint
    made = tool(function)
    expected: JsonDict = {
        "type": "object",
        "properties": {"x": schema},
        "required": ["x"],
        "additionalProperties": False,
    }
    if definitions:
        expected["$defs"] = definitions
    assert made.parameters == expected
    Draft202012Validator.check_schema(made.parameters)
    validator = Draft202012Validator(made.parameters)
    # The same values as the schema lets in are taken, and no others.
    for value in good:
        assert validator.is_valid({"x": value})
        assert accepts(made, {"x": value})
    for value in bad:
        assert not validator.is_valid({"x": value})
        assert not accepts(made, {"x": value})
    for arguments in ({}, {"x": good[0], "y": 1}):
        assert not validator.is_valid(arguments)
        # What may be null may be left out.
        registered = made.definition["parameters"]["required"]
        may_be_left_out = not arguments and "x" not in registered
        assert not may_be_left_out or accepts(made, {"x": None})
        assert accepts(made, arguments) is may_be_left_out


def nothing() -> None:
    """Do nothing."""


def without_hints(a, b=1):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    return a, b


def with_defaults(  # noqa: PLR0917 - one of each kind
    a: int,
    b: str = "x",
    c: Colour = Colour.RED,
    d: Point = Point(1),  # noqa: B008 - as users do it
    e: Sequence[int] = (1, 2),
    f: int = None,  # type: ignore[assignment]  # noqa: RUF013 - as users do it
    g: Any = None,
    h: Annotated[int, "An H"] | None = None,
) -> None: ...


def with_keyword_only(*, a: int, b: Path = Path("x")) -> None: ...


ITSELF: list[Any] = []
ITSELF.append(ITSELF)


class Limits(pydantic.BaseModel):
    seconds: float = math.inf
    count: int = 3


@dataclass
class Started:
    """Something.

    Attributes:
        a: For its start.
    """

    kind: ClassVar[str] = "started"
    a: InitVar[int]
    b: int = field(default=0, kw_only=True)
    c: InitVar[Annotated[float, "How long"]] = math.inf

    def __post_init__(self, a: int, c: float) -> None:
        self.total = a + self.b + c


def with_defaults_that_are_no_json(
    a: Any = object,
    b: float = math.inf,
    c: str = "\ud800",
    d: Any = ITSELF,
    e: Sequence[float] = (math.nan,),
) -> None: ...


def with_context(ctx: ToolContext, a: int, other: ToolContext | None = None) -> None: ...


def google(a: int, b: str = "x", c: Annotated[int, "Of the hint"] = 1) -> None:
    """Look something up.

    It takes: a while.

    Args:
        a: How many
            there are.
        b (str, optional): Which one: x or y.
        c: Of the docstring.
        unknown: Nobody.

    Returns:
        b: Nothing.
    """


def numpy(a: int, b: str = "x", c: str = "y") -> None:
    """Look something up.

    Parameters
    ----------
    a : int
        How many
        there are.
    b, c : str, optional
        Which one.

    Returns
    -------
    a
        Nothing.
    """


def rest(a: int, b: str = "x") -> None:
    """Look something up.

    :param a: How many
        there are.
    :type a: int
    :param str b: Which one.
    :returns: Nothing.
    """


A = {"type": "integer", "description": "How many there are."}
SIGNATURES: list[tuple[Callable[..., Any], str, JsonDict, list[str]]] = [
    (nothing, "Do nothing.", {}, []),
    (without_hints, "", {"a": {}, "b": {"default": 1}}, ["a"]),
    (
        with_defaults,
        "",
        {
            "a": INT,
            "b": {"type": "string", "default": "x"},
            "c": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "d": {"$ref": "#/$defs/Point", "default": {"x": 1, "y": 0}},
            "e": {"type": "array", "items": INT, "default": [1, 2]},
            "f": {"anyOf": [INT, NULL], "default": None},
            "g": {"default": None},
            "h": {
                "anyOf": [{"type": "integer", "description": "An H"}, NULL],
                "default": None,
            },
        },
        ["a"],
    ),
    (
        with_keyword_only,
        "",
        {"a": INT, "b": {"type": "string", "format": "path", "default": "x"}},
        ["a"],
    ),
    (
        with_defaults_that_are_no_json,
        "",
        {
            "a": {},
            "b": {"type": "number"},
            "c": {"type": "string"},
            "d": {},
            "e": {"type": "array", "items": {"type": "number"}},
        },
        [],
    ),
    (with_context, "", {"a": INT}, ["a"]),
    (
        google,
        "Look something up.\n\nIt takes: a while.",
        {
            "a": A,
            "b": {"type": "string", "description": "Which one: x or y.", "default": "x"},
            "c": {"type": "integer", "description": "Of the hint", "default": 1},
        },
        ["a"],
    ),
    (
        numpy,
        "Look something up.",
        {
            "a": A,
            "b": {"type": "string", "description": "Which one.", "default": "x"},
            "c": {"type": "string", "description": "Which one.", "default": "y"},
        },
        ["a"],
    ),
    (
        rest,
        "Look something up.",
        {"a": A, "b": {"type": "string", "description": "Which one.", "default": "x"}},
        ["a"],
    ),
]


@pytest.mark.parametrize(
    ("function", "description", "properties", "required"),
    SIGNATURES,
    ids=[function.__name__ for function, *_ in SIGNATURES],
)
def test_the_definition_of_a_function(
    function: Callable[..., Any], description: str, properties: JsonDict, required: list[str]
) -> None:
    definition = tool(function).definition
    parameters = definition["parameters"]
    assert definition.keys() == {"name", "description", "parameters"}
    assert (definition["name"], definition["description"]) == (function.__name__, description)
    assert (parameters["type"], parameters["additionalProperties"]) == ("object", False)
    assert parameters["properties"] == properties
    assert list(parameters["properties"]) == list(properties)
    assert parameters.get("required", []) == required
    Draft202012Validator.check_schema(parameters)


def test_definitions_cannot_be_changed_from_outside() -> None:
    made = tool(with_defaults)
    made.definition["parameters"]["properties"].clear()
    assert set(made.parameters["properties"]) == set("abcdefgh")


def test_names_that_are_given() -> None:
    @tool(name="look-up", label="Look up", description="Find it")
    def function(a: int) -> int:
        """Not this."""
        return a

    assert function.name == "look-up"
    definition = function.definition
    assert (definition["label"], definition["description"]) == ("Look up", "Find it")
    assert function(3) == 3
    assert function.__name__ == "function"
    assert function.__doc__ == "Not this."
    assert repr(function) == "Tool('look-up')"


def test_methods_partials_and_objects() -> None:
    class Thing:
        """A thing."""

        def method(self, a: int) -> int:
            """Do it."""
            return a

        def __call__(self, b: int) -> int:
            """Call it."""
            return b

    bound = tool(Thing().method)
    assert (bound.name, bound.description) == ("method", "Do it.")
    assert bound.parameters["properties"] == {"a": INT}
    called = tool(name="thing")(Thing())
    assert called.description == "Call it."
    assert called.parameters["properties"] == {"b": INT}
    partial = tool(functools.partial(google, b="z"), name="partial")
    assert partial.parameters["properties"]["b"]["default"] == "z"
    with pytest.raises(
        TypeError, match=r"tool method: self: only a bound method can become a tool"
    ):
        tool(Thing.method)


def test_classes_that_are_local() -> None:
    @dataclass
    class Inner:
        values: list[int]

    @dataclass
    class Outer:
        inner: Inner

    @tool
    def function(outer: Outer) -> int:
        return sum(outer.inner.values)

    loaded = function.load({"outer": {"inner": {"values": [1, 2]}}})
    assert function(**loaded) == 3
    assert function.parameters["$defs"].keys() == {"Outer", "Inner"}


def test_classes_of_the_same_name() -> None:
    def make(hint: Any) -> type:
        @dataclass
        class Point:
            z: Any

        Point.__annotations__["z"] = hint
        return Point

    def models(kind: Any) -> type[pydantic.BaseModel]:
        inner = pydantic.create_model("Point", v=(kind, ...))
        return pydantic.create_model("Outer", inner=(inner, ...))

    def function(a: Any, b: Any, c: Any, d: Any) -> None: ...

    hints = {"a": Point, "b": make(str), "c": models(int), "d": models(str)}
    function.__annotations__.update(hints)
    made = tool(function)
    good = {
        "a": {"x": 1},
        "b": {"z": "t"},
        "c": {"inner": {"v": 1}},
        "d": {"inner": {"v": "t"}},
    }
    validator = Draft202012Validator(made.parameters)
    assert validator.is_valid(good)
    assert accepts(made, good)
    for name, wrong in {
        "a": {"z": "t"},
        "b": {"x": 1},
        "c": {"inner": {"v": "t"}},
        "d": {"inner": {"v": 1}},
    }.items():
        assert not validator.is_valid({**good, name: wrong})
        assert not accepts(made, {**good, name: wrong})


def test_a_model_is_defined_once() -> None:
    @tool
    def function(a: Author, b: Author, c: list[Book], d: Book) -> None: ...

    parameters = function.parameters
    assert parameters["$defs"] == {"Author": AUTHOR, "Book": BOOK}
    assert parameters["properties"]["c"] == {"type": "array", "items": {"$ref": "#/$defs/Book"}}


def test_defaults_of_models_that_are_no_json_are_left_out() -> None:
    @tool
    def function(a: Limits) -> None: ...

    properties = function.parameters["$defs"]["Limits"]["properties"]
    assert properties["seconds"].keys() == {"title", "type"}
    assert properties["count"]["default"] == 3
    assert function.load({"a": {}}) == {"a": Limits()}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there such hints are no texts")
def test_what_a_dataclass_is_started_with_is_a_field() -> None:
    @tool
    def function(x: Started) -> None: ...

    schema = function.parameters["$defs"]["Started"]
    assert schema["properties"] == {
        "a": {"type": "integer", "description": "For its start."},
        "b": {"type": "integer", "default": 0},
        "c": {"type": "number", "description": "How long"},
    }
    assert schema["required"] == ["a"]
    loaded = function.load({"x": {"a": 1, "b": 2, "c": 3.0}})["x"]
    assert (loaded.b, loaded.total) == (2, 6)


def test_discriminators_lead_to_the_renamed_classes() -> None:
    a: Any = Literal["a"]
    b: Any = Literal["b"]
    c: Any = Literal["c"]
    first = pydantic.create_model("Item", kind=(a, ...))
    second = pydantic.create_model("Item", kind=(b, ...), mapping=(dict[str, str], ...))
    third = pydantic.create_model("Third", kind=(c, ...))

    def function(one: Any, two: Any) -> None: ...

    both: Any = Annotated[Union[second, third], pydantic.Field(discriminator="kind")]  # noqa: UP007
    function.__annotations__.update(one=first, two=both)
    parameters = tool(function).parameters
    mapping = parameters["properties"]["two"]["discriminator"]["mapping"]
    definitions = parameters["$defs"]
    named = {tag: definitions[ref.removeprefix("#/$defs/")] for tag, ref in mapping.items()}
    assert named["b"]["properties"]["kind"]["const"] == "b"
    assert named["b"]["properties"]["mapping"]["additionalProperties"] == TEXT
    assert named["c"]["properties"]["kind"]["const"] == "c"


def positional(a: int, /) -> None: ...
def many(*args: int) -> None: ...
def keywords(**kwargs: int) -> None: ...
def function_hint(a: Callable[[], int]) -> None: ...
def class_hint(a: threading.Thread) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def complex_hint(a: complex) -> None: ...
def key_hint(a: dict[int, str]) -> None: ...
def literal_hint(a: Literal[b"x"]) -> None: ...
def deep_hint(a: list[dict[str, complex]]) -> None: ...
def context_inside(a: list[ToolContext]) -> None: ...


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (positional, "tool positional: a: a positional-only parameter cannot be described"),
        (many, r"tool many: args: \*args cannot be described"),
        (keywords, r"tool keywords: kwargs: \*\*kwargs cannot be described"),
        (function_hint, "tool function_hint: a: no JSON Schema for .*Callable"),
        (class_hint, "tool class_hint: a type hint cannot be resolved: name 'threading'"),
        (complex_hint, "tool complex_hint: a: no JSON Schema for complex"),
        (key_hint, "tool key_hint: a: the keys of an object are text in JSON, not int"),
        (literal_hint, "tool literal_hint: a: a choice needs values"),
        (deep_hint, "tool deep_hint: a: no JSON Schema for complex"),
        (context_inside, "tool context_inside: a: a ToolContext has to be a parameter of its own"),
    ],
)
def test_functions_that_cannot_be_tools(function: Callable[..., Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        tool(function)


def test_what_is_no_function() -> None:
    def generates() -> Any:
        yield 1

    with pytest.raises(TypeError, match="expected a function, got int"):
        tool(3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="it cannot yield it"):
        tool(generates)
    with pytest.raises(TypeError, match="tool int: no signature found"):
        tool(int)
    with pytest.raises(TypeError, match="is a tool already"):
        tool(tool(nothing))
    for name in ("", "a b", "x" * 65, "é", "\ud800"):
        with pytest.raises(ValueError, match="name: expected a tool name of"):
            tool(nothing, name=name)
    with pytest.raises(ValueError, match='got "<lambda>"'):
        tool(lambda: 1)


def test_generic_classes_are_refused() -> None:
    @dataclass
    class Box(Generic[T]):
        item: T

    def function(a: Box[int]) -> None: ...

    with pytest.raises(TypeError, match=r"function: a: no JSON Schema for .*Box\[int\]"):
        tool(function)
