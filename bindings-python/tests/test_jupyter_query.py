"""Expressions and SQL over frames can read, and nothing else."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from letta_app_client._toolresult import to_result
from letta_app_client.jupyter import _expression, _query
from tests.tool_values import complaint_of

pd = pytest.importorskip("pandas")


@pytest.fixture
def frames() -> dict[str, Any]:
    return {"df": pd.DataFrame({"a": [3, 1, 2], "b": ["x", "y", "x"]})}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("df.a.sum()", 6),
        ("df['a'].max() ", 3),
        ("df[df.a > 1].shape", (2, 2)),
        ("df[(df.a > 1) & (df.b == 'x')].a.tolist", None),
        ("df.groupby('b')['a'].agg(['sum'])['sum'].max()", 5),
        ("df.a.iloc[-1]", 2),
        ("len(df)", None),
        ("df.agg({'a': 'sum'})['a']", 6),
        ("df.agg('to_csv')", None),
        ("df.agg('sum', path_or_buf='x')", None),
        ("df.to_csv('x')", None),
        ("df.pipe(df)", None),
        ("df.__class__", None),
        ("df.b.str.__init__", None),
        ("df.query('@pd')", None),
        ("df.eval('a')", None),
        ("df.apply('sum')", None),
        ("df.dropna(inplace=True)", None),
        ("df.head(**{'n': 1})", None),
        ("open('x')", None),
        ("nobody.sum()", None),
        ("[x for x in df]", None),
        ("(lambda: 1)()", None),
        ("'a' * 999999999", None),
        ("9 ** 9", None),
        ("import os", None),
    ],
)
def test_expressions(text: str, value: object, frames: dict[str, Any]) -> None:
    if value is None:
        with pytest.raises(ValueError, match=r"not allowed|neither|no frame|agg"):
            _expression.value(text, frames)
    else:
        assert _expression.value(text, frames) == value


def _queries(monkeypatch: pytest.MonkeyPatch, frames: dict[str, Any]) -> None:
    monkeypatch.setattr(_query, "names", lambda _wanted: frames)


def test_lists_are_as_long_as_rows_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    _queries(monkeypatch, {"df": pd.DataFrame({"a": range(30), "b": ["x", None, "y"] * 10})})
    ask = _query.dataframe_query
    for asked, limit, text in (
        ("df.columns", 2, '["a","b"]'),
        ("df.b.unique()", 3, '["x",null,"y"]'),
        ("df.index", 30, str(list(range(30))).replace(" ", "")),
    ):
        assert to_result(ask(asked, limit=limit)) == {"content": [{"type": "text", "text": text}]}
    note = "… 30 in all; only the first 2 are shown"
    assert ask("df.a.unique()", limit=2) == ask("df.index", limit=2) == [0, 1, note]
    assert ask("[1, 2, 3]", limit=2) == [1, 2, "… 3 in all; only the first 2 are shown"]
    parts = [part["text"] for part in to_result(ask("[df.a, 1, df]", limit=2))["content"]]
    assert parts == ["a\n0\n1\n", "1", "… 3 in all; only the first 2 are shown"]


def test_what_is_missing_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _queries(monkeypatch, {"df": pd.DataFrame({"a": pd.array([None], dtype="Int64")})})
    answer = to_result(_query.dataframe_query("df.a.max()"))
    assert answer == {"content": [{"type": "text", "text": "<NA>"}]}


_NO_VALUE = (
    "the expression has no value that can be shown: a value of type {} cannot be written as JSON"
)


@pytest.mark.anyio
@pytest.mark.parametrize("limit", [1, 20])
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("SELECT nope FROM df", "no such column: nope (the frames of the notebook are: df)"),
        ("df['nothing']", "KeyError: 'nothing'"),
        ("df.to_csv('x')", "not allowed here: df.to_csv(…)"),
        ("df.a +", "neither SQL nor an expression: invalid syntax"),
        ("df.groupby('a')", _NO_VALUE.format("DataFrameGroupBy")),
        ("df.groupby('a')['a']", _NO_VALUE.format("SeriesGroupBy")),
        ("[df, df.groupby('a')]", _NO_VALUE.format("DataFrameGroupBy")),
    ],
)
async def test_a_mistake_is_told_to_the_model_and_not_to_the_log(
    asked: str,
    words: str,
    limit: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # With more groups than rows may be shown, and with fewer.
    _queries(monkeypatch, {"df": pd.DataFrame({"a": [1, 2]})})
    given = {"sql_or_expr": asked, "limit": limit}
    assert await complaint_of(_query.dataframe_query, given) == words
    assert caplog.records == []


def test_sql_reads_copies(frames: dict[str, Any], tmp_path: Path) -> None:
    found = _query._selected("SELECT b, sum(a) AS s FROM df GROUP BY b", frames, 10, None)
    assert found.to_dict("list") == {"b": ["x", "y"], "s": [5, 1]}
    assert len(_query._selected("SELECT * FROM df", frames, 2, None)) == 2
    other = tmp_path / "other.db"
    for sql in (
        "WITH t AS (SELECT 1) DELETE FROM df",
        f"SELECT 1; ATTACH DATABASE '{other}' AS x",
        "SELECT load_extension('x')",
        "SELECT writefile('x', 'y')",
        "SELECT * FROM nobody",
    ):
        with pytest.raises(ValueError, match=r"the frames of the notebook are: df"):
            _query._selected(sql, frames, 10, None)
    assert len(frames["df"]) == 3
    assert not other.exists()


class Odd:
    def __str__(self) -> str:
        return "odd"


def test_sql_over_columns_that_sqlite_has_no_type_for() -> None:
    frame = pd.DataFrame({"n": [1, 2], "tools": [["Read"], []], "odd": [Odd(), None]})
    frame["kind"] = pd.Categorical(["a", "b"])
    frame["price"] = [Decimal("1.5"), Decimal("2.5")]
    frame["big"] = [2**64, 1]
    frame["wide"] = pd.Series([2**63 + 1, 1], dtype="uint64")
    frame["day"] = [date(2026, 1, 2), pd.NaT]
    sql = "SELECT sum(n) AS n, min(tools) AS tools, max(odd) AS odd, min(kind) AS kind FROM df"
    assert _query._selected(sql, {"df": frame}, 10, None).to_dict("records") == [
        {"n": 3, "tools": "['Read']", "odd": "odd", "kind": "a"}
    ]
    sql = "SELECT sum(price) AS p, count(odd) AS o, count(day) AS d FROM df"
    found = _query._selected(sql, {"df": frame}, 10, None)
    assert found.to_dict("records") == [{"p": 4.0, "o": 1, "d": 1}]
    sql = "SELECT big, wide, day FROM df"
    found = _query._selected(sql, {"df": frame}, 1, None)
    assert found.to_dict("records") == [
        {"big": str(2**64), "wide": str(2**63 + 1), "day": "2026-01-02"}
    ]


@pytest.mark.parametrize(
    ("columns", "values", "words"),
    [
        (["Ä", "a", "A", "ä"], [[1, 2, 3, 4]], "^df: two columns have the name 'a' in SQLite$"),
        (["a", "b"], [[1, "\ud800"]], "^column 'b' of df: SQLite cannot store it: .*surrogates"),
    ],
)
def test_what_sqlite_cannot_have_is_named(
    columns: list[str], values: list[list[object]], words: str
) -> None:
    frames = {"df": pd.DataFrame(values, columns=columns)}
    with pytest.raises(ValueError, match=words):
        _query._selected("SELECT * FROM df", frames, 10, None)


def test_large_numbers_may_all_be_missing_and_umlauts_are_two_columns() -> None:
    frame = pd.DataFrame({"Ä": pd.array([None, None], dtype="UInt64"), "ä": [1, 2]})
    found = _query._selected("SELECT count(Ä) AS n, sum(ä) AS s FROM df", {"df": frame}, 1, None)
    assert found.to_dict("records") == [{"n": 0, "s": 3}]


def _texts_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets ``astype`` be as before pandas 3, where what is missing became text."""
    present = pd.Series.astype

    def before(column: Any, kind: Any, *args: Any, **kwargs: Any) -> Any:
        if kind is not str:
            return present(column, kind, *args, **kwargs)
        return pd.Series([str(value) for value in column], index=column.index, dtype=object)

    monkeypatch.setattr(pd.Series, "astype", before)


@pytest.mark.parametrize("version", ["3", "2"])
def test_what_is_missing_is_null(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"shipped": pd.to_datetime(["2026-01-01", None, "2026-01-10"])})
    frame["took"] = frame.shipped - pd.Timestamp("2025-12-31 18:00")
    frame["wide"] = pd.array([2**64 - 1, None, 3], dtype="UInt64")
    frame["zoned"] = frame.shipped.dt.tz_localize("UTC")
    if version == "2":
        _texts_of_all(monkeypatch)
        assert frame.shipped.astype(str).tolist()[1] == "NaT"
    sql = (
        "SELECT count(shipped) AS shipped, count(took) AS took, count(wide) AS wide, "
        "count(zoned) AS zoned, max(wide) AS most FROM df"
    )
    assert _query._selected(sql, {"df": frame}, 1, None).to_dict("records") == [
        {"shipped": 2, "took": 2, "wide": 2, "zoned": 2, "most": "3"}
    ]
    sql = "SELECT count(*) AS n FROM df WHERE shipped IS NULL AND wide IS NULL AND took IS NULL"
    assert _query._selected(sql, {"df": frame}, 1, None).to_dict("records") == [{"n": 1}]
    found = _query._selected("SELECT max(shipped) AS last FROM df", {"df": frame}, 1, None)
    assert found["last"][0].startswith("2026-01-10")


def test_durations_are_seconds() -> None:
    frame = pd.DataFrame({"took": pd.to_timedelta(["9 days", None, "10 days", "00:00:00.5"])})
    frame["own"] = pd.Series([timedelta(days=9), None, timedelta(days=10), pd.NaT], dtype=object)
    sql = "SELECT took, own FROM df ORDER BY took DESC"
    assert _query._selected(sql, {"df": frame}, 9, None).to_dict("records") == [
        {"took": 864_000.0, "own": 864_000.0},
        {"took": 777_600.0, "own": 777_600.0},
        {"took": 0.5, "own": None},
        {"took": None, "own": None},
    ]
    assert "seconds" in _query.dataframe_query.description


def test_whole_numbers_stay_what_they_are_beside_null() -> None:
    frame = pd.DataFrame({"id": pd.array([2**53 + 1, None, 3], dtype="Int64")})
    found = _query._selected("SELECT id FROM df", {"df": frame}, 9, None)
    assert found.to_csv(index=False).splitlines() == ["id", str(2**53 + 1), '""', "3"]
