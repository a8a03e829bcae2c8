"""Tables of pandas and polars as text."""

from __future__ import annotations

from typing import Any

from ._jsonable import loaded_class

__all__ = ["frame_text", "is_frame"]

_ROWS = 200
_CHARACTERS = 20_000


def is_frame(value: Any) -> bool:
    """Whether it is a table or a column of pandas or polars."""
    return _is_pandas(value) or _is_polars(value)


def frame_text(frame: Any) -> str:
    """Writes a table as CSV: at most 200 rows and 20,000 characters, and a note of what is missing.

    The index of pandas is written where it is more than the numbers of the rows.
    """
    rows = len(frame)
    shown = frame.head(_ROWS)
    text = _pandas_csv(shown) if _is_pandas(frame) else _polars_csv(shown)
    count = min(rows, _ROWS)
    if len(text) > _CHARACTERS:
        # Whole lines; the first has the names of the columns.
        text = text[:_CHARACTERS].rpartition("\n")[0]
        count = text.count("\n")
    if count == rows:
        return text
    return f"{text.rstrip()}\n… {rows} rows in all; only the first {count} are shown"


def _pandas_csv(frame: Any) -> str:
    # A column has an index, too, but its values alone would have lost their name.
    numbered = type(frame.index).__name__ == "RangeIndex"
    return str(frame.to_csv(index=not numbered))


def _polars_csv(frame: Any) -> str:
    if not hasattr(frame, "write_csv"):
        frame = frame.to_frame()
    return str(frame.write_csv())


def _is_pandas(value: Any) -> bool:
    return isinstance(
        value, (loaded_class("pandas", "DataFrame"), loaded_class("pandas", "Series"))
    )


def _is_polars(value: Any) -> bool:
    return isinstance(
        value, (loaded_class("polars", "DataFrame"), loaded_class("polars", "Series"))
    )
