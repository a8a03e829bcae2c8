"""Tools with which an agent looks at the notebook it was called from."""

from __future__ import annotations

import inspect as _inspect
from numbers import Integral
from types import ModuleType
from typing import Annotated, Any

from .._frames import frame_text, is_frame
from .._refusal import Refusal
from ..tools import tool
from . import _front
from ._brief import brief, is_cut

__all__ = ["inspect", "names", "variables"]

_LONGEST = 4000


def names(wanted: str) -> dict[str, Any]:
    """The variables that the notebook's user has made, for a tool of that name."""
    shell = _front.shell(wanted)
    hidden = shell.user_ns_hidden
    return {
        name: value
        for name, value in dict(shell.user_ns).items()
        if not name.startswith("_") and not (name in hidden and hidden[name] is value)
    }


@tool
def variables() -> list[dict[str, Any]]:
    """List the variables of the user's notebook: names, types and sizes, no values."""
    found = names("variables").items()
    return [_described(name, value) for name, value in found if not isinstance(value, ModuleType)]


@tool
def inspect(name: Annotated[str, "Name of a variable of the notebook"]) -> str:
    """Look at one variable of the user's notebook: its type, and its value as far as it fits."""
    found = names("inspect")
    if name not in found:
        raise Refusal(f"the notebook has no variable {name!r}; there are: {', '.join(found)}")
    value = found[name]
    facts = ", ".join(f"{key} {fact}" for key, fact in _described(name, value).items())
    return f"{facts}\n{_shown(value)}"


def _described(name: str, value: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": name, "type": type(value).__qualname__}
    try:
        # Of what is computed when it is asked for, this may raise anything.
        shape = getattr(value, "shape", None)
    except Exception:  # noqa: BLE001 - the variable is listed all the same
        shape = None
    if isinstance(shape, tuple):
        facts["shape"] = [int(one) if isinstance(one, Integral) else str(one) for one in shape]
    elif isinstance(value, (str, bytes, list, tuple, dict, set, frozenset)):
        facts["length"] = len(value)
    return facts


def _shown(value: Any) -> str:
    if is_frame(value):
        kinds = getattr(value, "dtypes", "")
        text = f"{kinds}\n\n{frame_text(value.head(20))}"
    elif callable(value) and hasattr(value, "__name__"):
        text = f"{value.__name__}{_signature(value)}\n{_inspect.getdoc(value) or ''}"
    else:
        text = brief(value, _LONGEST)
        if len(text) > _LONGEST and is_cut(value):
            # Nobody has counted what there is in all.
            return f"{text[:_LONGEST]}…"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def _signature(value: Any) -> str:
    try:
        return str(_inspect.signature(value))
    except (TypeError, ValueError):
        return "(…)"
