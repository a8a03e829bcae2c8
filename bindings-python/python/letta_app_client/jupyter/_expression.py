"""Values of expressions over frames that can only read; what is not known to be so is refused.

``eval`` of pandas would do more than that: it calls any method of any object.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from .._refusal import Refusal
from .._said import kind_and_said

__all__ = ["value"]

_AGGREGATES = frozenset(
    [
        "all",
        "any",
        "count",
        "first",
        "last",
        "max",
        "mean",
        "median",
        "min",
        "nunique",
        "prod",
        "sem",
        "skew",
        "std",
        "sum",
        "var",
        "size",
    ]
)
_METHODS = _AGGREGATES | frozenset(
    [
        "abs",
        "agg",
        "between",
        "corr",
        "cov",
        "cummax",
        "cummin",
        "cumprod",
        "cumsum",
        "describe",
        "diff",
        "drop_duplicates",
        "dropna",
        "duplicated",
        "fillna",
        "groupby",
        "head",
        "idxmax",
        "idxmin",
        "isin",
        "isna",
        "mode",
        "nlargest",
        "notna",
        "nsmallest",
        "pct_change",
        "quantile",
        "rank",
        "reset_index",
        "round",
        "sample",
        "set_index",
        "shift",
        "sort_index",
        "sort_values",
        "tail",
        "to_frame",
        "unique",
        "value_counts",
        "contains",
        "endswith",
        "lower",
        "startswith",
        "upper",
        "strip",
        "len",
    ]
)
_ATTRIBUTES = frozenset(
    [
        "T",
        "columns",
        "dtypes",
        "index",
        "shape",
        "size",
        "str",
        "dt",
        "year",
        "month",
        "day",
        "hour",
        "minute",
        "weekday",
        "loc",
        "iloc",
    ]
)
_BINARY: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_COMPARED: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_UNARY: Mapping[type, Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}


def value(text: str, frames: Mapping[str, Any]) -> Any:
    """Returns the value of an expression.

    Raises:
        Refusal: It is no expression, does what is not allowed here, or is one that pandas refuses.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise Refusal(f"neither SQL nor an expression: {error.msg}") from None
    try:
        return _Reader(frames).of(tree.body)
    except Refusal:
        raise
    except Exception as error:  # noqa: BLE001 - of pandas, for a column that is not there
        raise Refusal(kind_and_said(error)) from None


class _Reader:
    def __init__(self, frames: Mapping[str, Any]) -> None:
        self._frames = frames

    def of(self, node: ast.expr) -> Any:
        handle = getattr(self, f"_{type(node).__name__.lower()}", None)
        if handle is None:
            raise Refusal(f"not allowed here: {ast.unparse(node)}")
        return handle(node)

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        if node.id not in self._frames:
            known = ", ".join(self._frames)
            raise Refusal(f"there is no frame {node.id!r}; there are: {known}")
        return self._frames[node.id]

    def _attribute(self, node: ast.Attribute) -> Any:
        owner = self.of(node.value)
        columns = getattr(owner, "columns", ())
        if node.attr in columns and not node.attr.startswith("_"):
            return owner[node.attr]
        if node.attr not in _ATTRIBUTES:
            raise Refusal(f"not allowed here: .{node.attr}")
        return getattr(owner, node.attr)

    def _call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Attribute) or node.func.attr not in _METHODS:
            raise Refusal(f"not allowed here: {ast.unparse(node.func)}(…)")
        given = [self.of(one) for one in node.args]
        named = {str(one.arg): self.of(one.value) for one in node.keywords if one.arg}
        if len(named) < len(node.keywords) or "inplace" in named:
            raise Refusal("not allowed here: **, inplace")
        if node.func.attr == "agg" and (named or not _are_aggregates(given)):
            # Any other text would be the name of a method to call.
            raise Refusal(f"agg: expected some of {', '.join(sorted(_AGGREGATES))}")
        return getattr(self.of(node.func.value), node.func.attr)(*given, **named)

    def _subscript(self, node: ast.Subscript) -> Any:
        return self.of(node.value)[self.of(node.slice)]

    def _slice(self, node: ast.Slice) -> slice:
        parts = (node.lower, node.upper, node.step)
        return slice(*(None if one is None else self.of(one) for one in parts))

    def _list(self, node: ast.List) -> list[Any]:
        return [self.of(one) for one in node.elts]

    def _tuple(self, node: ast.Tuple) -> tuple[Any, ...]:
        return tuple(self.of(one) for one in node.elts)

    def _dict(self, node: ast.Dict) -> dict[Any, Any]:
        if None in node.keys:
            raise Refusal("not allowed here: **")
        keys = [self.of(one) for one in node.keys if one is not None]
        return dict(zip(keys, map(self.of, node.values), strict=True))

    def _binop(self, node: ast.BinOp) -> Any:
        combine = _BINARY.get(type(node.op))
        left, right = self.of(node.left), self.of(node.right)
        # Numbers and texts alone could be made as large as one likes.
        if combine is None or not (_is_column(left) or _is_column(right)):
            raise Refusal(f"not allowed here: {ast.unparse(node)}")
        return combine(left, right)

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        turned = _UNARY.get(type(node.op))
        if turned is None:
            raise Refusal(f"not allowed here: {ast.unparse(node)}")
        return turned(self.of(node.operand))

    def _compare(self, node: ast.Compare) -> Any:
        compare = _COMPARED.get(type(node.ops[0]))
        if compare is None or len(node.ops) > 1:
            raise Refusal(f"not allowed here: {ast.unparse(node)}")
        return compare(self.of(node.left), self.of(node.comparators[0]))


def _is_column(one: Any) -> bool:
    return hasattr(one, "dtype") or hasattr(one, "dtypes")


def _are_aggregates(one: Any) -> bool:
    if isinstance(one, str):
        return one in _AGGREGATES
    if isinstance(one, dict):
        return all(_are_aggregates(each) for each in one.values())
    return isinstance(one, (list, tuple)) and all(_are_aggregates(each) for each in one)
