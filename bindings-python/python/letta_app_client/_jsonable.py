"""From values of many types to what JSON can hold."""

from __future__ import annotations

import base64
import dataclasses
import enum
import sys
import uuid
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, time
from decimal import Decimal
from pathlib import PurePath
from typing import Any

__all__ = ["jsonable", "loaded_class"]


def jsonable(value: Any) -> Any:
    """Makes a value of plain JSON types.

    Enum members become their values, dataclasses, pydantic models and named tuples objects, dates
    ISO texts, bytes base64, sets arrays, arrays and numbers of numpy lists and plain numbers.

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
    if isinstance(value, (Mapping, list, tuple, AbstractSet)):
        return _container(value)
    return _single(value)


def loaded_class(module: str, name: str) -> Any:
    """A class of a library that the program has imported already; it is never imported here."""
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) else ()


def _container(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {_key(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, AbstractSet):
        # In an order that does not change from run to run.
        return sorted((jsonable(item) for item in value), key=repr)
    return [jsonable(item) for item in value]


def _single(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: jsonable(getattr(value, name)) for name in names}
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (PurePath, uuid.UUID, Decimal)):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, loaded_class("pydantic", "BaseModel")):
        return value.model_dump(mode="json")
    for name in ("ndarray", "generic"):
        if isinstance(value, loaded_class("numpy", name)):
            return jsonable(value.tolist())
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON")


def _key(key: Any) -> str:
    plain = jsonable(key)
    if isinstance(plain, (dict, list)):
        raise TypeError(f"a key of type {type(key).__name__} cannot be written as JSON")
    return plain if isinstance(plain, str) else str(plain)
