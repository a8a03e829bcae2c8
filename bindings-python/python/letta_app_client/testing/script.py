"""What the turns of a scripted server do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["call", "turn"]


def call(
    name: str,
    input: Mapping[str, Any] | None = None,  # noqa: A002 - its name in the protocol
    *,
    needs_approval: bool = False,
    result: str = "ok",
) -> dict[str, Any]:
    """Describes one tool call of a turn.

    Args:
        name: The tool. A tool that a client registered as external is really called; any other is
            pretended to run on the server.
        input: The arguments.
        needs_approval: Ask with a ``control_request`` first, in the modes ``standard`` and
            ``acceptEdits`` (which lets edits of files run). ``strict`` asks for every call,
            ``unrestricted``, the mode of a runtime that was started without one, for none.
        result: What a tool on the server returns.
    """
    arguments = dict(input or {})
    return {
        "name": name,
        "input": arguments,
        "needs_approval": needs_approval,
        "result": result,
    }


def turn(
    text: str | Iterable[str] = ("Hello ", "world"),
    *,
    tool_calls: Iterable[tuple[str, Mapping[str, Any]] | Mapping[str, Any]] = (),
    usage: tuple[int, int] = (10, 2),
    **more: Any,
) -> dict[str, Any]:
    """Describes one turn.

    Args:
        text: The answer, as one delta or as several.
        tool_calls: Pairs of name and arguments, or what ``call`` returns; they come first, all in
            one run.
        usage: Prompt and completion tokens of every run.
        **more: ``reasoning`` (list of deltas), ``delay_ms`` (milliseconds before each delta),
            ``spread_ms`` (milliseconds over which all deltas are spread evenly),
            ``retries`` (the model fails so often before it answers), ``cuts`` (list of numbers: the
            answer breaks off after so many pieces of text, and is tried again in another run),
            ``stop_reason``, ``error`` (the turn ends with it), ``hang`` (the turn never ends by
            itself), ``disconnect_after`` (cut the connection after so many deltas), ``lose_input``
            (the connection is cut and the input lost on the way, for the next one to start the
            next turn).
    """
    return {
        "text": [text] if isinstance(text, str) else list(text),
        "tool_calls": [call(*it) if isinstance(it, tuple) else dict(it) for it in tool_calls],
        "usage": list(usage),
        **more,
    }
