"""What a magic says to whoever has made a mistake, or whose turn has not ended well."""

from __future__ import annotations

from ..errors import LettaAppError

__all__ = ["MagicError", "said"]


class MagicError(Exception):
    """Ends a cell with a message instead of a traceback; cells after it do not run."""

    def _render_traceback_(self) -> list[str]:
        return [f"%letta: {self}"]


def said(error: LettaAppError) -> MagicError:
    """An error of the client, as a message."""
    hint = getattr(error, "hint", None)
    text = str(error)
    return MagicError(f"{text} ({hint})" if hint and hint not in text else text)
