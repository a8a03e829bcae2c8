"""An agent's Markdown, made inert: as HTML of harmless elements, and as Markdown without traps.

Notebooks trust what their own cells put out, so a front end would run a ``<script>`` in an answer
and load its images. Nothing of the text becomes HTML here but what this module writes itself.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

__all__ = ["neutral", "neutral_line", "to_html"]

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)")
_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_RULE = re.compile(r" {0,3}([-*_])(\s*\1){2,}\s*$")
_BULLET = re.compile(r"(\s*)(?:[-*+]|(\d{1,9})[.)])\s+(.*)")
_TABLE_LINE = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")
_CODE = re.compile(r"(?<!`)(`{1,9})(?!`)(.{1,2000}?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"(!?)\[([^\[\]]{0,1000})\]\(([^()\s]{1,2000})\)")
_SAFE = re.compile(r"(https?://|mailto:|#)", re.IGNORECASE)
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.{1,2000}?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])(\*|_)(?=\S)([^*_]{1,2000}?)(?<=\S)\1(?![\w*])")
_STRUCK = re.compile(r"~~(?=\S)(.{1,2000}?)(?<=\S)~~")
_SCHEME = re.compile(r"\b(javascript|vbscript|data|file)(\s*\\?:)", re.IGNORECASE)
_FORMULA = re.compile(r"\\(?=[()\[\]]|begin|end)")
_DEEPEST = 6


def to_html(text: str) -> str:
    """Writes Markdown as HTML: headings, lists, tables, code, quotes, emphasis and links.

    Images become links, links lead to ``http``, ``https``, ``mailto`` or within the page, and all
    else of the text is shown as it stands.
    """
    return "".join(_blocks(text.replace("\0", "\ufffd").splitlines(), 0))


def neutral(text: str) -> str:
    """Returns Markdown that renders as before, without HTML, images, formulas and scripts."""
    out: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        fence = _FENCE.match(line)
        if fence is None:
            out.append(neutral_line(line))
            continue
        code = list(_fenced(lines, fence[1]))
        longest = max((len(run) for one in code for run in re.findall("`+", one)), default=0)
        ticks = "`" * max(3, longest + 1)
        out += ["", ticks + fence[2], *code, ticks, ""]
    return "\n".join(out)


def neutral_line(line: str) -> str:
    """The same for text of one line, which begins no block."""
    line = line.replace("&", "&amp;").replace("<", "&lt;")
    line = _SCHEME.sub(r"\1 \2", line.replace("![", "!\\["))
    out, at = [], 0
    for code in _CODE.finditer(line):
        out += [_without_formulas(line[at : code.start()]), code[0]]
        at = code.end()
    return "".join([*out, _without_formulas(line[at:])])


def _without_formulas(text: str) -> str:
    # They are looked for in the source, and in the page, where an escaped sign is a plain one.
    return _FORMULA.sub(r"&#92;<span></span>", text).replace("$", "<span>&#36;</span>")


def _fenced(lines: Iterator[str], fence: str) -> Iterator[str]:
    """The lines up to the end of a block of code, or of the text."""
    end = re.compile(rf" {{0,3}}{re.escape(fence[0])}{{{len(fence)},}}\s*$")
    for line in lines:
        if end.match(line):
            return
        yield line


def _blocks(lines: list[str], depth: int) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        taken = 1
        if fence := _FENCE.match(line):
            code = list(_fenced(iter(lines[at + 1 :]), fence[1]))
            taken = min(len(code) + 2, len(lines) - at)
            yield f"<pre><code>{html.escape(chr(10).join(code))}</code></pre>"
        elif heading := _HEADING.match(line):
            level = min(len(heading[1]) + 2, 6)
            yield f"<h{level}>{_inline(heading[2])}</h{level}>"
        elif _RULE.match(line):
            yield "<hr>"
        elif line.lstrip().startswith(">") and depth < _DEEPEST:
            quoted = _while(lines[at:], lambda one: one.lstrip().startswith(">"))
            taken = len(quoted)
            inner = [re.sub(r"^\s*> ?", "", one) for one in quoted]
            yield f"<blockquote>{''.join(_blocks(inner, depth + 1))}</blockquote>"
        elif _BULLET.match(line) and depth < _DEEPEST:
            block = _list_lines(lines[at:])
            taken = len(block)
            yield _list(block, depth)
        elif "|" in line and at + 1 < len(lines) and _TABLE_LINE.match(lines[at + 1]):
            rows = _while(lines[at:], lambda one: "|" in one)
            taken = len(rows)
            yield _table(rows)
        elif line.strip():
            said = [line, *_while(lines[at + 1 :], _goes_on)]
            taken = len(said)
            yield f"<p>{_inline(chr(10).join(said))}</p>"
        at += taken


def _while(lines: list[str], wanted: object) -> list[str]:
    taken: list[str] = []
    for line in lines:
        if not callable(wanted) or not wanted(line):
            break
        taken.append(line)
    return taken


def _goes_on(line: str) -> bool:
    """Whether a line belongs to the paragraph before it."""
    starts = (_FENCE, _HEADING, _RULE, _BULLET)
    return bool(line.strip()) and not any(one.match(line) for one in starts) and line[0] != ">"


def _list_lines(lines: list[str]) -> list[str]:
    taken: list[str] = []
    for line in lines:
        if not line.strip() or not (_BULLET.match(line) or line[0] in " \t"):
            break
        taken.append(line)
    return taken


def _list(lines: list[str], depth: int) -> str:
    first = _BULLET.match(lines[0])
    assert first is not None  # noqa: S101 - it begins a list
    own = len(first[1].expandtabs(4))
    items: list[list[str]] = []
    for line in lines:
        bullet = _BULLET.match(line)
        if bullet is not None and (not items or len(bullet[1].expandtabs(4)) <= own):
            items.append([bullet[3]])
        else:
            items[-1].append(line)
    tag = "ul" if first[2] is None else "ol"
    return f"<{tag}>{''.join(_item(one, depth) for one in items)}</{tag}>"


def _item(lines: list[str], depth: int) -> str:
    below = [line for line in lines[1:] if line.strip()]
    indent = min((len(line) - len(line.lstrip()) for line in below), default=0)
    rest = "".join(_blocks([line[indent:] for line in lines[1:]], depth + 1))
    return f"<li>{_inline(lines[0])}{rest}</li>"


def _table(rows: list[str]) -> str:
    head, *body = [_cells(row) for row in [rows[0], *rows[2:]]]
    top = "".join(f"<th>{_inline(cell)}</th>" for cell in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in body
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def _inline(text: str) -> str:
    out, at = [], 0
    for code in _CODE.finditer(text):
        out += [_marked(text[at : code.start()]), f"<code>{html.escape(code[2])}</code>"]
        at = code.end()
    out.append(_marked(text[at:]))
    return "".join(out)


def _marked(text: str) -> str:
    out, at = [], 0
    for link in _LINK.finditer(text):
        out.append(_stressed(html.escape(text[at : link.start()])))
        out.append(_link(link[1], link[2], link[3]))
        at = link.end()
    out.append(_stressed(html.escape(text[at:])))
    return "".join(out)


def _link(image: str, label: str, target: str) -> str:
    words = _stressed(html.escape(label or target))
    if not _SAFE.match(target):
        return f"{words} ({html.escape(target)})"
    shown = f"[image: {words}]" if image else words
    return f'<a href="{html.escape(target)}" rel="noopener noreferrer" target="_blank">{shown}</a>'


def _stressed(escaped: str) -> str:
    escaped = _STRONG.sub(r"<strong>\2</strong>", escaped)
    escaped = _EMPHASIS.sub(r"<em>\2</em>", escaped)
    escaped = _STRUCK.sub(r"<s>\1</s>", escaped)
    return escaped.replace("  \n", "<br>\n")
