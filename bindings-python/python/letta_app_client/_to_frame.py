"""Results as a table of pandas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ._batch import BatchItem
from .errors import InvalidOption, TurnError
from .results import TurnResult

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    # For whoever reads type hints while a program runs: pandas may not be there.
    DataFrame = Any

__all__ = ["to_frame"]


_COLUMNS = (
    "prompt",
    "agent_id",
    "text",
    "status",
    "stop_reason",
    "tokens",
    "tools",
    "duration",
    "error",
)


def to_frame(results: Iterable[Any] | TurnResult) -> DataFrame:
    """Makes a pandas frame of results: one row for each, in order.

    Its columns are ``prompt``, ``agent_id``, ``text``, ``status``, ``stop_reason``, ``tokens``,
    ``tools`` (their names, in the order of the calls), ``duration`` (seconds) and ``error`` (text);
    and ``output`` where a result has one. Results alone do not know their prompt.

    Args:
        results: What ``letta.map`` or ``letta.gather`` returned, or any results.

    Raises:
        InvalidOption: pandas is not installed.
        TypeError: There is something else among them.
    """
    try:
        # Not a dependency: whoever wants a frame has it.
        import pandas as pd  # noqa: PLC0415
    except ImportError:
        raise InvalidOption("to_frame: needs the package pandas", hint="install it") from None
    given = [results] if isinstance(results, (TurnResult, BatchItem)) else list(results)
    rows = [_row(one) for one in given]
    more = ["output"] if any("output" in row for row in rows) else []
    frame: pd.DataFrame = pd.DataFrame(rows, columns=[*_COLUMNS, *more])
    return frame


def _row(one: Any) -> dict[str, Any]:
    item: BatchItem[TurnResult] | None = one if isinstance(one, BatchItem) else None
    result: Any = one if item is None else item.result
    error = None if item is None else item.error
    if result is None and isinstance(error, TurnError):
        result = error.result
    if result is not None and not isinstance(result, TurnResult):
        raise TypeError(f"to_frame: expected results, got {type(one).__name__}")
    row: dict[str, Any] = dict.fromkeys(_COLUMNS)
    row |= {"text": "", "tokens": 0, "tools": []}
    if item is not None:
        row |= {"prompt": item.prompt, "agent_id": item.agent_id}
    if result is not None:
        row |= {
            "text": result.text,
            "status": result.status,
            "stop_reason": result.stop_reason,
            "tokens": result.usage.total_tokens,
            "tools": [call.name for call in result.tool_calls],
            "duration": result.duration,
            "error": result.error,
        }
        if item is None:
            row["agent_id"] = result.runtime.get("agent_id")
        if hasattr(result, "output"):
            row["output"] = result.output
    if error is not None:
        row["error"] = str(error)
    return row
