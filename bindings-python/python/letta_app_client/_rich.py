"""What makes an object look well as the value of a notebook's cell."""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = ["Rich"]


class Rich:
    """Has the two methods that notebooks ask for. All text of the agent is escaped in them."""

    __slots__ = ()
    _rich: ClassVar[str]
    """The function of ``jupyter._reprs`` that knows how it looks."""

    def _repr_html_(self) -> str:
        return str(self._bundle()["text/html"])

    def _repr_markdown_(self) -> str:
        return str(self._bundle()["text/markdown"])

    def _bundle(self) -> Any:
        # Only notebooks need it.
        from .jupyter import _reprs  # noqa: PLC0415

        return getattr(_reprs, self._rich)(self)
