"""What exceptions of users say, whatever their classes do."""

from __future__ import annotations

from ._raised import leaves

__all__ = ["kind_and_said", "said"]


def said(error: BaseException) -> str:
    """The text of an exception; its kind where there is none, or where ``str`` fails."""
    return _with_leaves(error, _text(error) or type(error).__name__)


def kind_and_said(error: BaseException) -> str:
    """The kind of an exception, and its text where there is some."""
    return _with_leaves(error, _alone(error))


def _alone(error: BaseException) -> str:
    kind, text = type(error).__name__, _text(error)
    return f"{kind}: {text}" if text else kind


def _with_leaves(error: BaseException, text: str) -> str:
    """A group says only how many there are in it, so those are named as well."""
    inside = [one for one in leaves(error) if one is not error]
    return "; ".join([text, *map(_alone, inside)])


def _text(error: BaseException) -> str:
    try:
        # Half a surrogate pair could not be sent.
        return str(error).encode(errors="replace").decode()
    except Exception:  # noqa: BLE001 - any failure of the user's class
        return ""
