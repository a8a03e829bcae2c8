"""How results, turns, sessions, requests and messages look as the value of a cell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from . import _parts as parts
from ._markdown import neutral
from ._render import bundle
from ._story import Story

if TYPE_CHECKING:
    from .._batch import Batch
    from ..approvals import ApprovalRequest
    from ..results import TurnResult
    from ..session import Session
    from ..turn import Turn

__all__ = ["batch", "line", "messages", "request", "result", "session", "turn"]

Bundle = dict[str, str]


def result(one: TurnResult) -> Bundle:
    """What a turn came to."""
    story = Story()
    story.finish(one)
    return bundle(story, one.duration)


def turn(one: Turn) -> Bundle:
    """What a turn came to, or how it stands."""
    flight = one._flight  # noqa: SLF001 - of this package
    known = flight.result or getattr(flight.error, "result", None)
    return _lines(one.explain()) if known is None else result(known)


def session(one: Session) -> Bundle:
    """Where a conversation is, and what it has cost."""
    facts = {
        "agent": one.agent_id,
        "conversation": one.conversation_id,
        "mode": one.mode,
        "directory": one.cwd or "",
        "tokens": f"{one.usage.total_tokens:,}",
    }
    return _table([("session", ""), *((key, value) for key, value in facts.items() if value)])


def request(one: ApprovalRequest) -> Bundle:
    """What the agent wants to do."""
    given = one.input.to_dict()
    changes = parts.diff_of_server(one.diffs) or parts.diff_of_input(given)
    dumped = json.dumps(given, indent=2, ensure_ascii=False, default=str)
    head = f"{parts.calls_summary(one.tool_name, given)} needs permission"
    # Whoever allows it can see all of it; changes are cut where they are long.
    body = parts.whole(dumped)
    if changes:
        body = parts.diffs(changes) + parts.details("the whole input", body)
    if one.blocked_path:
        body += parts.row(f"outside the allowed folders: {one.blocked_path}")
    # A fence that the text itself cannot end.
    text = f"{neutral(one.tool_name)} needs permission:\n\n~~~~~~\n{dumped}\n~~~~~~"
    return {
        "text/html": parts.root(parts.details(head, body, is_open=True, kind="letta-request")),
        "text/markdown": neutral(text),
        "text/plain": repr(one),
    }


def messages(many: Iterable[Mapping[str, Any]]) -> Bundle:
    """Stored messages, the oldest first."""
    html, markdown = [], []
    for one in many:
        kind = str(one.get("message_type") or "message")
        text = _text(one)
        who = kind.removesuffix("_message").replace("_", " ")
        spoken = kind in ("assistant_message", "user_message")
        body = parts.markdown(text) if spoken else parts.pre(text)
        head = f"<b>{parts.escaped(who)}</b>"
        html.append(parts.details(head, body, is_open=spoken, kind="letta-message"))
        markdown.append(f"**{neutral(who)}**\n\n{neutral(parts.cut(text))}")
    return {"text/html": parts.root(*html), "text/markdown": "\n\n".join(markdown)}


def batch(many: Batch[Any]) -> Bundle:
    """What many prompts came to."""
    rows = [("prompt", "answer")]
    for item in many:
        known = str(item.error) if item.error is not None else item.text
        rows.append((parts.cut(str(item.prompt), 300), parts.cut(known, 300)))
    return _table(rows)


def _text(message: Mapping[str, Any]) -> str:
    for name in ("content", "reasoning", "tool_return"):
        value = message.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, (list, tuple)):
            return "".join(str(part.get("text", "")) for part in value if hasattr(part, "get"))
    call = message.get("tool_call")
    if isinstance(call, Mapping):
        return f"{call.get('name')} {call.get('arguments')}"
    return ""


def line(text: str) -> str:
    """A line of small print, as HTML."""
    return parts.row(text)


def _lines(text: str) -> Bundle:
    return {"text/html": parts.root(parts.row(text)), "text/markdown": neutral(text)}


def _table(rows: list[tuple[str, str]]) -> Bundle:
    head, *body = rows
    escaped = [tuple(map(parts.escaped, row)) for row in body]
    html = "".join(f"<tr><td><b>{key}</b></td><td>{value}</td></tr>" for key, value in escaped)
    top = f"<tr><th>{parts.escaped(head[0])}</th><th>{parts.escaped(head[1])}</th></tr>"
    lines = [f"| {_cell(key)} | {_cell(value)} |" for key, value in [head, ("---", "---"), *body]]
    return {
        "text/html": parts.root(f"<table><thead>{top}</thead><tbody>{html}</tbody></table>"),
        "text/markdown": "\n".join(lines),
    }


def _cell(text: str) -> str:
    return neutral(" ".join(text.split())).replace("|", "\\|")
