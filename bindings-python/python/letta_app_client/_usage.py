"""Adding up token counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from .results import Usage

__all__ = ["summed"]


def summed(usages: Iterable[Usage]) -> Usage:
    """Adds token counts; the size of the context window is the latest one's."""
    counts: dict[str, int] = {}
    context: int | None = None
    for usage in usages:
        for key in fields(Usage):
            if key.name != "context_tokens":
                counts[key.name] = counts.get(key.name, 0) + getattr(usage, key.name)
        context = context if usage.context_tokens is None else usage.context_tokens
    return Usage(**counts, context_tokens=context)
