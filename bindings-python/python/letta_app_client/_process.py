"""Tells processes apart: what was made before a fork belongs to the parent."""

from __future__ import annotations

import os

__all__ = ["forks"]


class _Forks:
    """Counts what asking the system for the process, at each call, would tell."""

    count = 0

    def happened(self) -> None:
        self.count += 1


forks = _Forks()
"""``count`` is another one in a process that was forked from one where something was made."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forks.happened)
