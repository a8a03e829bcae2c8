"""Which name was meant by one that there is not, and that is refused in any case.

Fields of commands, which may be those of a later server, are looked at by the engine.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["meant"]

_LIKENESS = 0.55
"""So much of a name has to be right: ``timout`` may mean ``connect_timeout``."""


def meant(name: str, known: Iterable[str]) -> str | None:
    """The known name that is the most like one that there is not; ``None`` where none is."""
    from difflib import get_close_matches  # noqa: PLC0415 - for those who misspell one

    return next(iter(get_close_matches(name, list(known), 1, _LIKENESS)), None)
