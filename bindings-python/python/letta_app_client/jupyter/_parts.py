"""Pieces of HTML that outputs are made of. Whatever is not written here is escaped."""

from __future__ import annotations

import base64
import binascii
import difflib
import html
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ._markdown import to_html

__all__ = [
    "calls_summary",
    "calls_words",
    "cut",
    "details",
    "diff_of_input",
    "diff_of_server",
    "diffs",
    "escaped",
    "harmless",
    "markdown",
    "picture",
    "pre",
    "root",
    "row",
    "whole",
]

LONGEST = 4000
"""How many characters of an input or an output are shown; results have all of it."""

_SHORT = 80
_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""What turns the direction of text, so that it is read as what it is not."""

_BREAKS = (0x2028, 0x2029)
_UNSEEN = (*range(32), *range(127, 160), *_DIRECTIONS, *_BREAKS)
_CONTROLS = {code: "�" for code in _UNSEEN if chr(code) not in "\n\t"}
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_GREY = "color:var(--jp-ui-font-color2,#767676)"
_BOX = (
    "border:1px solid var(--jp-border-color2,#ccc);border-radius:4px;padding:2px 8px;margin:4px 0"
)
_PRE = "margin:4px 0;max-height:24em;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere"
_LINES = {"add": "background:rgba(46,160,67,.2)", "remove": "background:rgba(248,81,73,.2)"}
_SIGNS = {"add": "+", "remove": "-"}
_WORDS = ("command", "file_path", "path", "pattern", "query", "sql", "code", "url", "prompt")


def escaped(value: object) -> str:
    """Any text, as HTML that shows it."""
    return html.escape(str(value))


def cut(text: str, longest: int = LONGEST) -> str:
    """A text as far as it is shown."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}\n… {len(text) - longest:,} characters more"


def harmless(text: str) -> str:
    """Plain text without what a terminal would obey; IPython prints it to one."""
    return text.replace("\r\n", "\n").translate(_CONTROLS)


def root(*parts: str) -> str:
    """One output. Formulas in it are left alone: a formula may hold links that run scripts."""
    return f'<div class="letta-app-client tex2jax_ignore mathjax_ignore">{"".join(parts)}</div>'


def markdown(text: str) -> str:
    """An agent's text."""
    return f'<div class="letta-answer">{to_html(text)}</div>'


def row(text: str, kind: str = "letta-progress") -> str:
    """A line of small print."""
    return f'<div class="{kind}" style="{_GREY};font-size:90%">{escaped(text)}</div>'


def pre(text: str) -> str:
    """Text as it stands, cut where it is long."""
    return whole(cut(text))


def whole(text: str) -> str:
    """Text as it stands, all of it."""
    return f'<pre style="{_PRE}">{escaped(text)}</pre>' if text else ""


def details(summary: str, body: str, *, is_open: bool = False, kind: str = "letta-card") -> str:
    """What can be folded; the summary is HTML."""
    state = " open" if is_open else ""
    head = f'<details class="{kind}" style="{_BOX}"{state}><summary>{summary}</summary>'
    return f"{head}{body}</details>"


def calls_summary(name: str, given: Any) -> str:
    """A tool and, in a few words, what for; as HTML."""
    short = calls_words(given)
    return f"<b>{escaped(name)}</b>" + (f" <code>{escaped(short)}</code>" if short else "")


def calls_words(given: Any) -> str:
    """What a tool is called for, in a few words of its arguments; as text of one line."""
    words = ""
    if isinstance(given, Mapping):
        known = [given[key] for key in _WORDS if isinstance(given.get(key), str)]
        words = known[0] if known else ("" if not given else json.dumps(given, default=str))
    lines = words.strip().splitlines()
    first = lines[0] if lines else ""
    return first if len(lines) <= 1 and len(first) <= _SHORT else f"{first[:_SHORT]}…"


def diffs(changes: Iterable[tuple[str, list[tuple[str, str]]]]) -> str:
    """Changes of files: names, and lines that are ``add``, ``remove`` or ``context``."""
    return "".join(_diff(name, lines) for name, lines in changes)


def diff_of_server(changes: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The previews of a permission request (protocol section 13)."""
    return [(str(one.get("fileName") or ""), _hunks(one)) for one in changes]


def diff_of_input(given: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """What the arguments of an edit say that it changes."""
    if not isinstance(given, Mapping):
        return []
    name = given.get("file_path") or given.get("path")
    edits = given.get("edits") if isinstance(given.get("edits"), list) else [given]
    lines = [line for edit in edits or () for line in _replaced(edit)]
    content = given.get("content")
    if isinstance(name, str) and not lines and isinstance(content, str):
        lines = [("add", line) for line in content.splitlines()]
    return [(name, lines)] if isinstance(name, str) and lines else []


def picture(part: Mapping[str, Any]) -> str:
    """An image of a tool's result; nothing where it is none."""
    kind, data = part.get("mimeType"), part.get("data")
    if kind not in _PICTURES or not isinstance(data, str):
        return ""
    try:
        plain = base64.b64encode(base64.b64decode(data, validate=True)).decode()
    except (binascii.Error, ValueError):
        return ""
    return f'<img alt="" style="max-width:100%" src="data:{kind};base64,{plain}">'


def _replaced(edit: Any) -> list[tuple[str, str]]:
    before, after = edit.get("old_string"), edit.get("new_string")
    if not isinstance(before, str) or not isinstance(after, str):
        return []
    kinds = {"+": "add", "-": "remove", " ": "context"}
    compared = difflib.ndiff(before[:20_000].splitlines(), after[:20_000].splitlines())
    return [(kinds[line[0]], line[2:]) for line in compared if line[0] in kinds]


def _hunks(preview: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for hunk in preview.get("hunks") or ():
        found = hunk.get("lines") or () if isinstance(hunk, Mapping) else ()
        known = [line for line in found if isinstance(line, Mapping)]
        lines += [(str(line.get("type")), str(line.get("content"))) for line in known]
    return lines or [("context", str(preview.get("reason") or "(no preview)"))]


def _diff(name: str, lines: list[tuple[str, str]]) -> str:
    shown = lines[:200]
    body = "".join(
        f'<span style="display:block;{_LINES.get(kind, "")}">'
        f"{_SIGNS.get(kind, ' ')} {escaped(cut(text, 500))}</span>"
        for kind, text in shown
    )
    more = f"… {len(lines) - 200} lines more" if len(lines) > len(shown) else ""
    return (
        f'<div class="letta-diff"><code>{escaped(name)}</code>'
        f'<pre style="{_PRE}">{body}{more}</pre></div>'
    )
