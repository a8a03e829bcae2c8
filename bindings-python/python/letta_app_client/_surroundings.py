"""The context variables that functions of the program see when they are called."""

from __future__ import annotations

import contextvars

__all__ = ["Surroundings"]


class Surroundings:
    """Those of a moment: that in which a function was registered, or a later one."""

    __slots__ = ("context",)

    def __init__(self) -> None:
        """Takes those of now."""
        self.context = contextvars.copy_context()

    def renew(self) -> None:
        """Takes those of now in their place."""
        self.context = contextvars.copy_context()
