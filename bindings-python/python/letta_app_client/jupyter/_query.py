"""A tool with which an agent asks the notebook's frames: SQL, or an expression that only reads."""

from __future__ import annotations

import numbers
import re
import sqlite3
import string
from collections import Counter
from datetime import timedelta
from typing import Annotated, Any

from .._frames import is_frame
from .._jsonable import jsonable
from .._refusal import Refusal
from ..tools import ToolContext, tool
from . import _expression
from ._inspecting import names

__all__ = ["dataframe_query"]

_SQL = re.compile(r"\s*(select|with|values)\b", re.IGNORECASE)
_MOST = 10_000
_STEPS = 10_000
"""SQLite asks whether to go on after so many of its steps."""

_LARGEST = 2**63 - 1
"""The largest whole number that SQLite has."""

_FOLDED = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
"""As SQLite compares names: letters outside of ASCII are as they are."""

_READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    getattr(sqlite3, "SQLITE_RECURSIVE", 33),
}


@tool
def dataframe_query(
    sql_or_expr: Annotated[
        str, "SQL (SQLite) over the frames by their names, or a pandas expression such as df.mean()"
    ],
    limit: Annotated[int, "How many rows are returned at most"] = 20,
    ctx: ToolContext | None = None,
) -> Any:
    """Ask the pandas frames of the user's notebook. Nothing can be changed by it.

    In SQL dates are text, durations are numbers of seconds, and what is missing is NULL.
    """
    if not 1 <= limit <= _MOST:
        raise Refusal(f"limit: expected a number from 1 to {_MOST}, got {limit}")
    frames = {name: value for name, value in names("dataframe_query").items() if is_frame(value)}
    if not frames:
        raise Refusal("the notebook has no frames")
    if _SQL.match(sql_or_expr):
        return _selected(sql_or_expr, frames, limit, ctx)
    value = _expression.value(sql_or_expr, frames)
    if isinstance(value, (list, tuple)) and any(is_frame(item) for item in value):
        # Each item is a part of the answer.
        return _cut([_shown(item, limit) for item in value], limit)
    return _shown(value, limit)


def _shown(value: Any, limit: int) -> Any:
    """An index, an array or a list may have as many values as the frame has rows."""
    if is_frame(value):
        return value.head(limit)
    try:
        plain = jsonable(value)
    except TypeError as error:
        # Such as groups of which nothing was asked.
        raise Refusal(f"the expression has no value that can be shown: {error}") from None
    # As it is, since what is missing has a name there.
    return _cut(plain, limit) if isinstance(plain, list) else value


def _cut(items: list[Any], limit: int) -> list[Any]:
    if len(items) <= limit:
        return items
    return [*items[:limit], f"… {len(items)} in all; only the first {limit} are shown"]


def _selected(sql: str, frames: dict[str, Any], limit: int, ctx: ToolContext | None) -> Any:
    import pandas as pd  # noqa: PLC0415 - its frames are there

    connection = sqlite3.connect(":memory:")
    try:
        for name, frame in frames.items():
            # The words of the query may be columns: what is not needed costs a copy, no more.
            if re.search(rf"\b{re.escape(name)}\b", sql, re.IGNORECASE):
                _stored(frame, name, connection)
        connection.set_authorizer(_authorized)
        if ctx is not None:
            connection.set_progress_handler(ctx.cancelled.is_set, _STEPS)
        cursor = connection.execute(sql)
        columns = [column[0] for column in cursor.description or ()]
        # As they are: pandas would make floating point numbers of whole ones beside NULL.
        return pd.DataFrame(cursor.fetchmany(limit), columns=columns, dtype=object)
    except sqlite3.Error as error:
        known = ", ".join(frames)
        raise Refusal(f"{error} (the frames of the notebook are: {known})") from None
    finally:
        connection.close()


def _stored(frame: Any, name: str, connection: sqlite3.Connection) -> None:
    table = frame.to_frame() if not hasattr(frame, "columns") else frame
    numbered = type(table.index).__name__ == "RangeIndex"
    plain = table.copy() if numbered else table.reset_index()
    plain.columns = [str(column) for column in plain.columns]
    # SQLite tells names apart by their letters alone.
    counts = Counter(column.translate(_FOLDED) for column in plain.columns)
    twice = [column for column in plain.columns if counts[column.translate(_FOLDED)] > 1]
    if twice:
        raise Refusal(f"{name}: two columns have the name {twice[0]!r} in SQLite")
    for column in plain.columns:
        plain[column] = _known(plain[column])
    try:
        plain.to_sql(name, connection, index=False)
    except _unstorable() as error:
        wrong = _unknown(plain)
        where = name if wrong is None else f"column {wrong!r} of {name}"
        raise Refusal(f"{where}: SQLite cannot store it: {error.__cause__ or error}") from None


def _known(column: Any) -> Any:
    """A column of what SQLite has types for. The rest is compared as text."""
    kind = column.dtype.kind
    if kind == "O":
        # Which may be anything: lists, decimals, categories, or what somebody has made.
        return column.astype(object).map(_plain)
    if kind == "m":
        # As text "10 days" would come before "9 days".
        return column.dt.total_seconds()
    if kind in "bif" or (kind == "u" and not column.dropna().gt(_LARGEST).any()):
        return column
    # Before pandas 3, what is missing becomes text like all the rest.
    return column.astype(str).where(column.notna(), None)


def _plain(value: Any) -> Any:
    if isinstance(value, (str, bytes, float, bool)) or value is None:
        return value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, numbers.Integral):
        whole = int(value)
        return whole if abs(whole) <= _LARGEST else str(whole)
    import pandas as pd  # noqa: PLC0415 - its frames are there

    missing = pd.api.types.is_scalar(value) and pd.isna(value)
    return None if missing else str(value)


def _unstorable() -> tuple[type[Exception], ...]:
    import pandas as pd  # noqa: PLC0415 - its frames are there

    return (pd.errors.DatabaseError, sqlite3.Error, OverflowError, UnicodeError)


def _unknown(table: Any) -> str | None:
    """The first column that SQLite does not take."""
    for column in table.columns:
        alone = sqlite3.connect(":memory:")
        try:
            table[[column]].to_sql("alone", alone, index=False)
        except _unstorable():
            return str(column)
        finally:
            alone.close()
    return None


def _authorized(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY
