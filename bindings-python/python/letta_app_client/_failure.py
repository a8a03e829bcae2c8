"""What answers for a tool that raised."""

from __future__ import annotations

from typing import Any

__all__ = ["Failure"]


class Failure(dict[str, Any]):
    """The ``result`` for a tool that raised, so that it can be told from an answer of the tool.

    In a module of its own: every client needs it, also those without a ``ToolSet``.
    """
