"""From values of many types to what JSON can hold."""

from __future__ import annotations

import base64
import dataclasses
import enum
import sys
import uuid
from collections.abc import Mapping, MappingView
from collections.abc import Set as AbstractSet
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any

__all__ = ["is_missing", "jsonable", "loaded_class"]

_TEXTS = (("pandas", "Period"), ("pandas", "Interval"))
_NUMPY = (("numpy", "ndarray"), ("numpy", "generic"))
_LISTS = (
    ("pandas", "Index"),
    ("pandas.api.extensions", "ExtensionArray"),
)

_FINER = ("ns]", "ps]", "fs]", "as]")
"""Units of dates and durations of numpy that those of Python do not have."""


def jsonable(value: Any) -> Any:
    """Makes a value of plain JSON types.

    Enum members become their values, dataclasses, pydantic models and named tuples objects, dates
    ISO texts, durations, and periods and intervals of pandas, the text that ``str`` makes of them,
    bytes base64, sets, ranges and views of mappings arrays, arrays and numbers of numpy, and arrays
    and indexes of pandas, lists and plain numbers; what pandas knows to be missing is ``None``.
    Dates and durations of numpy are texts in every unit; those that Python's own types cannot hold
    are written as numpy does (``5 nanoseconds``).

    Raises:
        TypeError: There is no such value for it; the message names its type.
        RecursionError: It contains itself.
    """
    if value is None or type(value) in (str, bool, int, float):
        return value
    if isinstance(value, enum.Enum):
        return jsonable(value.value)
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, (Mapping, list, tuple, AbstractSet, MappingView, range)):
        return _container(value)
    return None if is_missing(value) else _single(value)


def loaded_class(module: str, name: str) -> Any:
    """A class of a library that the program has imported already; it is never imported here."""
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) else ()


def is_missing(value: Any) -> bool:
    """Whether it stands for a value of pandas that is not there: ``NA`` or ``NaT``."""
    pandas = sys.modules.get("pandas")
    return value is not None and any(value is getattr(pandas, name, None) for name in ("NA", "NaT"))


def _container(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {_key(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, AbstractSet) and not isinstance(value, MappingView):
        # In an order that does not change from run to run.
        return sorted((jsonable(item) for item in value), key=repr)
    return [jsonable(item) for item in value]


def _single(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: jsonable(getattr(value, name)) for name in names}
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (PurePath, uuid.UUID, Decimal, timedelta, *_several(_TEXTS))):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, loaded_class("pydantic", "BaseModel")):
        return value.model_dump(mode="json")
    if isinstance(value, _several(_NUMPY + _LISTS)):
        timed = isinstance(value, _several(_NUMPY)) and value.dtype.kind in "mM"
        return _times(value) if timed else jsonable(value.tolist())
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON")


def _times(value: Any) -> Any:
    """Dates and durations of numpy; ``tolist`` makes bare numbers of what Python has not."""
    if value.ndim:
        return [_times(one) for one in value]
    plain = value.item()
    if isinstance(plain, int) and value.dtype.str.endswith(_FINER):
        rounded = value.astype(f"{value.dtype.kind}8[us]")
        plain = rounded.item() if rounded == value else plain
    return str(value) if isinstance(plain, int) else jsonable(plain)


def _several(classes: tuple[tuple[str, str], ...]) -> tuple[Any, ...]:
    return tuple(loaded_class(*one) for one in classes)


def _key(key: Any) -> str:
    plain = str(key) if is_missing(key) else jsonable(key)
    if isinstance(plain, (dict, list)):
        raise TypeError(f"a key of type {type(key).__name__} cannot be written as JSON")
    return plain if isinstance(plain, str) else str(plain)
