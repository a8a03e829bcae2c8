"""Completes what is typed after ``%letta`` and ``%%letta``."""

from __future__ import annotations

from ._options import CELL, COMMANDS, options

__all__ = ["completions"]


def completions(line: str, symbol: str, *, sessions: list[str], tools: list[str]) -> list[str]:
    """What may stand where the cursor is.

    Args:
        line: The line up to the cursor.
        symbol: The word under the cursor, as far as it is typed.
        sessions: The names of the conversations.
        tools: The names of the tools.
    """
    words = line.split()
    typed = words[1:] if line.endswith((" ", "\t")) else words[1:-1]
    before = typed[-1] if typed else ""
    if words and words[0].startswith("%%"):
        values = {"--session": sessions, "--tools": tools, "--mode": _modes()}
        found = values.get(before, options(CELL))
    elif not typed:
        found = list(COMMANDS)
    elif typed[0] == "abort" and len(typed) == 1:
        found = sessions
    else:
        found = options(COMMANDS[typed[0]]) if typed[0] in COMMANDS else []
    return [word for word in found if word.startswith(symbol)]


def _modes() -> list[str]:
    (action,) = [one for one in CELL._actions if one.dest == "mode"]  # noqa: SLF001
    return list(action.choices or ())
