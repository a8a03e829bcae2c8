"""What a tool of the package says to a model that has asked for what cannot be had."""

from __future__ import annotations

__all__ = ["Refusal"]


class Refusal(ValueError):
    """Answers a call with an error, and is told to the model alone.

    Any other exception of a tool is a fault of the tool, and is logged as one.
    """
