"""Adding up token counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace

from .results import Arrival, TurnResult, Usage

__all__ = ["counted", "summed", "with_before"]


def counted(known: Arrival | TurnResult | None) -> Usage:
    """What a turn adds to a sum, of which this is known."""
    if isinstance(known, Arrival):
        return known.counted
    if known is None:
        return Usage()
    return known.usage if known.own_usage is None else known.own_usage


def with_before(result: TurnResult, before: TurnResult | None) -> TurnResult:
    """The result, with what an earlier part of it has used."""
    if before is None:
        return result
    usage = summed((before.usage, result.usage))
    shares = before.own_usage is not None or result.own_usage is not None
    own = summed((counted(before), counted(result))) if shares else None
    return replace(result, usage=usage, own_usage=own)


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
