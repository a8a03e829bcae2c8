"""Compares what a client reported for a recorded input with what ``EXPECTED.json`` demands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from letta_app_client.errors import (
    ClientClosed,
    Disconnected,
    LettaAppError,
    TurnError,
    TurnIdleTimeout,
    TurnInterrupted,
    TurnTimeout,
)
from letta_app_client.results import TurnResult

__all__ = ["Outcome", "differences"]

Outcome = TurnResult | BaseException

_NO_WORD = (TurnInterrupted, TurnTimeout, TurnIdleTimeout, Disconnected, ClientClosed)


def differences(expected: Mapping[str, Any], got: Outcome) -> list[str]:
    """Says how an outcome differs from the expected one, over exactly the keys that are present."""
    found = []
    if "outcome" in expected:
        outcome = _outcome(got)
        if outcome != expected["outcome"]:
            found.append(f"outcome: expected {expected['outcome']!r}, got {outcome!r} ({got!r})")
    result = _result(got)
    if result is None:
        if not found and expected.get("outcome", "") is not None:
            found.append(f"no result: {got!r}")
        return found
    for key, wanted, value in _compared(expected, result):
        if wanted != value:
            found.append(f"{key}: expected {wanted!r}, got {value!r}")
    return found


def _result(got: Outcome) -> TurnResult | None:
    if isinstance(got, TurnResult):
        return got
    return got.result if isinstance(got, TurnError) else None


def _outcome(got: Outcome) -> str | None:
    """A stop reason, ``removed_from_queue``, or ``None`` when the server never said."""
    result = _result(got)
    if isinstance(got, TurnResult):
        return got.stop_reason
    if result is not None and result.completed_by is not None:
        removed = result.completed_by == "removed_from_queue"
        return "removed_from_queue" if removed else result.stop_reason
    if isinstance(got, _NO_WORD):
        return None
    return f"error {got.code if isinstance(got, LettaAppError) else type(got).__name__}"


def _compared(
    expected: Mapping[str, Any], result: TurnResult
) -> Iterator[tuple[str, object, object]]:
    """Pairs of an expected and a reported value."""
    joined = expected.get("joined") is True
    text = expected.get("text")
    if text is not None:
        # A client that reports the whole turn is not wrong: its text ends with the expected one.
        shown = result.text[-len(text) :] if joined and text else result.text
        yield "text", text, "" if joined and not text else shown
    whole = expected.get("text_is_prefix_of")
    if whole is not None:
        yield "text", whole[: len(result.text)], result.text
    if "run_ids" in expected and not joined:
        yield "run_ids", expected["run_ids"], list(result.run_ids)
    if "tool_calls" in expected and not joined:
        yield "tool_calls", expected["tool_calls"], len(result.tool_calls)
    if "merged_with" in expected:
        yield "merged_with", sorted(expected["merged_with"]), sorted(result.merged_with)
    # A call that ended without the server's word has neither a turn id nor an error of its own.
    if result.completed_by is not None:
        if expected.get("turn_id") is not None:
            yield "turn_id", expected["turn_id"], result.turn_id
        if "has_error" in expected:
            yield "has_error", expected["has_error"], result.error is not None
