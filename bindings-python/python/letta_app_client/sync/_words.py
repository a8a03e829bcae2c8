"""What documentation of asynchronous objects says of their blocking faces."""

from __future__ import annotations

import re

__all__ = ["blocking"]

_SAID = (
    (re.compile(r"\basync (with|for|def)\b"), r"\1"),
    (re.compile(r"\bawait (?=[\w.]+)"), ""),
    (re.compile(r"\bAsync(Iterator|Iterable)\b"), r"\1"),
    (re.compile(r"\basync iterator"), "iterator"),
    (re.compile(r"\baclose\b"), "close"),
    (re.compile(r"\baiter\("), "iter("),
    (re.compile(r"\b(a|an) iterator"), "an iterator"),
)


def blocking(text: str) -> str:
    """Says it for objects that block, in code and in prose."""
    for pattern, words in _SAID:
        text = pattern.sub(words, text)
    return text
