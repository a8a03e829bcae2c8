"""What there can be only once."""

from __future__ import annotations

from typing import ClassVar, NoReturn

__all__ = ["Uncopied", "refuse_copy"]


class Uncopied:
    """Something that lives on a connection, or is one: a copy would have none, or end it."""

    __slots__ = ()
    _instead: ClassVar[str] = ""
    """What can be pickled in its place, in words."""

    def __reduce__(self) -> NoReturn:
        refuse_copy(self)


def refuse_copy(value: object) -> NoReturn:
    """Says what cannot be copied, and what can be.

    Raises:
        TypeError: Always.
    """
    name = type(value).__name__
    article = "an" if name[0] in "AEIO" else "a"
    words = f"{article} {name} can be neither copied nor pickled"
    instead = getattr(value, "_instead", "")
    raise TypeError(f"{words}: {instead}" if instead else words)
