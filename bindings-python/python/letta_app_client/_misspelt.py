"""Which name was meant by one that there is not, and that is refused in any case.

Fields of commands, which may be those of a later server, are looked at by the engine.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["meant"]

_ELSEWHERE = dict.fromkeys(("schema", "response_format", "response_model"), "output_type")
"""What has quite another name in Node, and in other libraries."""
_LIKENESS = 0.55
"""So much of a name has to be right: ``timout`` may mean ``connect_timeout``."""


def meant(name: str, known: Iterable[str]) -> str | None:
    """The known name that is the most like one that there is not; ``None`` where none is."""
    elsewhere = _ELSEWHERE.get(name)
    if elsewhere is not None and elsewhere in (known := list(known)):
        return elsewhere
    from difflib import get_close_matches  # noqa: PLC0415 - for those who misspell one

    return next(iter(get_close_matches(name, list(known), 1, _LIKENESS)), None)
