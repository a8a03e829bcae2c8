"""A turn's story as the plain MIME bundles that every front end shows."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet

from . import _parts as parts
from ._markdown import neutral, neutral_line
from ._story import Call, Said, Story

__all__ = ["bundle", "progress"]

_MARKS = {"success": "✓", "error": "✗"}
_HOW = ": turn.approve() or turn.deny('why not') answers it"


def bundle(story: Story, seconds: float, asked: AbstractSet[str] = frozenset()) -> dict[str, str]:
    """HTML, Markdown and plain text of how it stands after so many seconds.

    ``asked`` are the requests that somebody is being asked about elsewhere.
    """
    line = progress(story, seconds, asked)
    notes = story.notes[-5:]
    return {
        "text/html": parts.root(
            *(_html(item) for item in story.items),
            *(parts.row(note, "letta-note") for note in notes),
            parts.row(line),
        ),
        "text/markdown": "\n\n".join(
            [
                *(_markdown(item) for item in story.items),
                *(neutral_line(note) for note in notes),
                f"*{neutral_line(line)}*",
            ]
        ),
        "text/plain": parts.harmless(
            "\n".join([*(_plain(item) for item in story.items), *notes, line])
        ),
    }


def progress(story: Story, seconds: float, asked: AbstractSet[str] = frozenset()) -> str:
    """One line: how it stands, how long it has taken, what it has cost, what it is about."""
    result = story.result
    if result is not None:
        reason = result.error or result.stop_reason
        words = [f"{result.status or 'failed'} in {result.duration:.1f} s", _tokens(story.tokens)]
        return _one_line(" · ".join([*words, *([reason] if reason else [])]))
    if story.failure:
        return _one_line(f"failed: {story.failure}")
    words = [f"{story.state} {seconds:.0f} s"]
    if story.tokens:
        words.append(_tokens(story.tokens))
    if story.waiting:
        names = ", ".join(request.tool_name for request in story.waiting.values())
        how = "" if asked >= story.waiting.keys() else _HOW
        words.append(f"{names} needs permission{how}")
    elif story.running_tool:
        words.append(f"{story.running_tool} runs")
    return " · ".join(words)


def _tokens(count: int) -> str:
    return f"{count:,} tokens"


def _html(item: Said | Call) -> str:
    if isinstance(item, Call):
        return _card(item)
    if item.is_thought:
        return parts.details("reasoning", parts.pre(item.text), kind="letta-reasoning")
    return parts.markdown(item.text)


def _card(call: Call) -> str:
    waits = call.asked is not None and not call.decision and not call.status
    mark = "?" if waits else _MARKS.get(call.status, "…")
    given = call.input
    changes = parts.diff_of_server(call.asked.diffs) if call.asked is not None else []
    changes = changes or parts.diff_of_input(given)
    word = call.status or ("needs permission" if waits else "running")
    if call.decision == "deny":
        word = f"denied, {word}"
    body = [
        "" if changes or given is None else parts.pre(_dumped(given)),
        parts.diffs(changes),
        parts.pre(call.output),
    ]
    summary = f"{mark} {parts.calls_summary(call.name, given)}: {parts.escaped(word)}"
    pictures = "".join(parts.picture(one) for one in call.pictures)
    return parts.details(summary, "".join(body), is_open=waits) + pictures


def _dumped(given: object) -> str:
    return json.dumps(given, indent=2, ensure_ascii=False, default=str)


def _markdown(item: Said | Call) -> str:
    if isinstance(item, Call):
        return f"- {neutral_line(_line(item))}"
    return f"> {_quoted(item.text)}" if item.is_thought else neutral(item.text)


def _plain(item: Said | Call) -> str:
    if isinstance(item, Call):
        return f"[{_line(item)}]"
    return f"({item.text.strip()})" if item.is_thought else item.text


def _line(call: Call) -> str:
    output = parts.cut(call.output, 200)
    return _one_line(f"{call.name}: {call.status or 'running'}" + (f", {output}" if output else ""))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _quoted(text: str) -> str:
    return neutral(text.strip()).replace("\n", "\n> ")
