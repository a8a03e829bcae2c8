"""Who is told of what external tools have returned, besides the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["returned", "watchers"]

watchers: list[Callable[[str, Mapping[str, Any]], None]] = []
"""Functions that get the id of a call and its result; from any thread."""


def returned(call_id: str, result: Mapping[str, Any]) -> None:
    """Tells them."""
    for watch in tuple(watchers):
        watch(call_id, result)
