"""What is said to an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

__all__ = ["Prompt"]

Prompt: TypeAlias = str | Sequence[Mapping[str, Any]]
"""What is said to an agent: text, or the parts of a message's ``content`` (section 8.1)."""
