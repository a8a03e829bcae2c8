"""What documentation of asynchronous objects says of their blocking faces."""

from __future__ import annotations

import inspect
import re
import textwrap

from ._sentences import SENTENCES

__all__ = ["anywhere", "blocking"]

_WIDTH = 92
"""Of a line without its indentation, which is 8 at most."""

_SAID = tuple(
    (sign, re.compile(pattern.replace(" ", r"\s+")), words)
    for sign, pattern, words in (
        ("async", r"\basync (with|for)\b", r"\1"),
        ("await", r"\bawait turn\b(?!\.)", "turn.result()"),
        ("await", r"\bawait (?=[\w.]+)", ""),
        ("Async", r"\bAsync(Iterator|Iterable)\b", r"\1"),
        ("async", r"\b(an )?async iterator", r"\1iterator"),
        ("aclos", r"\baclos(e|ing)\b", r"clos\1"),
        ("aiter", r"\baiter\(", "iter("),
        ("awaited", r", not when awaited", ""),
        ("esolve", r"\b([Rr])esolve(s?) with\b", r"\1eturn\2"),
        ("esolve", r"\b([Rr])esolve(s?)\b", r"\1eturn\2"),
        ("loop's", r"on the loop's thread", "in the client's thread for handlers"),
        # A call that blocks is not cancelled: Ctrl-C interrupts it.
        ("Cancelling", r"Cancelling( a task that waits| this call)?\b", "An interrupt"),
        ("cancelling", r"cancelling who waits", "an interrupt"),
        # There is no such thing here.
        ("WrongLoop", r"(?m)^(\x20+)WrongLoop:.*\n(?:\1\x20+.*(?:\n|$))*", ""),
        ("WrongLoop", r", ``WrongLoop`` and", " and"),
        ("WrongLoop", r" ``WrongLoop`` on another event loop,", ""),
    )
)
"""Words of which one is a sign, by which most texts are told that do not need this."""

_ENTRY = re.compile(r"\s+[*\w]+: ")
"""The first line of what is said of an argument, or of an error."""


def blocking(text: str, name: str) -> str:
    """Says it for objects that block, in code and in prose.

    Args:
        text: What is said of the asynchronous object.
        name: The last name of that, to which sentences of its own may belong.
    """
    text = given = inspect.cleandoc(text)
    for sentence, words in SENTENCES.get(name, ()):
        text = anywhere(sentence).sub(words, text)
    for sign, pattern, words in _SAID:
        if sign in text:
            text = pattern.sub(words, text)
    text = text.rstrip("\n")
    return text if text == given else _wrapped(text, frozenset(given.split("\n")))


def anywhere(sentence: str) -> re.Pattern[str]:
    """Finds a sentence, whatever its lines."""
    return re.compile(re.escape(sentence).replace(r"\ ", r"\s+"))


def _wrapped(text: str, before: frozenset[str]) -> str:
    """Wraps lines that have become too long, with what follows them in their paragraph."""
    rest = text.split("\n")[::-1]
    lines: list[str] = []
    while rest:
        line = rest.pop()
        if len(line) <= _WIDTH or line in before:
            lines.append(line)
            continue
        indent = line[: len(line) - len(line.lstrip())]
        hanging = indent + "    " if _ENTRY.match(line) else indent
        paragraph = [line.strip()]
        while rest and _continues(rest[-1], hanging):
            paragraph.append(rest.pop().strip())
        lines += textwrap.wrap(
            " ".join(paragraph),
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def _continues(line: str, indent: str) -> bool:
    at = len(line) - len(line.lstrip())
    return bool(line) and at == len(indent) and not _ENTRY.match(line)
