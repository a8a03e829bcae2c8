"""Lets pydantic understand its own types, in programs that use it."""

from __future__ import annotations

import json
import sys
from typing import Any

from ._json import is_json
from ._shape import BadValue, Shape, checks, shown

__all__ = ["REF", "adapted", "is_of_pydantic"]

REF = "#/$defs/"
_HOOK = "__get_pydantic_core_schema__"


def is_of_pydantic(kind: Any, notes: tuple[Any, ...]) -> bool:
    """Whether a type, or what is annotated to it, is pydantic's to understand."""
    if "pydantic" not in sys.modules:
        return False
    if hasattr(kind, _HOOK) or "__is_pydantic_dataclass__" in getattr(kind, "__dict__", {}):
        return True
    roots = {type(note).__module__.partition(".")[0] for note in notes}
    return bool(roots & {"pydantic", "annotated_types"}) or any(hasattr(it, _HOOK) for it in notes)


def adapted(hint: Any) -> Shape:
    """Understands a hint as pydantic does. Its schema may have ``$defs`` of its own.

    Raises:
        TypeError: Pydantic does not understand it, or is older than version 2.
    """
    pydantic = sys.modules["pydantic"]
    if not hasattr(pydantic, "TypeAdapter"):
        raise TypeError("pydantic models need pydantic 2")
    try:
        adapter = pydantic.TypeAdapter(hint)
        schema = adapter.json_schema(
            ref_template=f"{REF}{{model}}", schema_generator=_generator(pydantic)
        )
    except pydantic.errors.PydanticUserError as error:
        raise TypeError(f"pydantic does not understand {hint!r}: {error}") from error

    def load(value: Any, path: str) -> Any:
        try:
            # As JSON: in its strict mode pydantic takes no text for a date otherwise.
            return adapter.validate_json(json.dumps(value))
        except pydantic.ValidationError as error:
            raise BadValue(*(_line(one, path) for one in error.errors())) from None
        except Exception as error:
            # A validator raised what is not for pydantic.
            name = getattr(hint, "__name__", "value")
            raise checks(path, name, value, error) from error

    return Shape(schema, load)


def _generator(pydantic: Any) -> Any:
    """What makes schemas without the defaults that JSON does not have."""

    class Generator(pydantic.json_schema.GenerateJsonSchema):  # type: ignore[misc]
        def default_schema(self, schema: Any) -> Any:
            made = super().default_schema(schema)
            if is_json(made.get("default")):
                return made
            return {key: value for key, value in made.items() if key != "default"}

    return Generator


def _line(error: Any, path: str) -> str:
    place = path + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]
    )
    if error["type"] == "missing":
        return f"{place}: it is missing"
    return f"{place}: {error['msg']}, got {shown(error['input'])}"
