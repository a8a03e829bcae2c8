"""What the turns of a scripted server do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._scripted import checked_call, checked_turn

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
        name: The tool. A tool that a client registered as external is really called; for any
            other, the server pretends to run it.
        input: The arguments; none by default.
        needs_approval: Ask with a ``control_request`` first, in the modes ``standard`` and
            ``acceptEdits`` (which lets edits of files run). The program's own tools ask there in
            any case. ``strict`` asks for every call; ``unrestricted``, the mode of a runtime that
            was started without one, for ``AskUserQuestion`` alone.
        result: What a tool on the server returns.

    Raises:
        InvalidOption: A field is not usable; the message begins with its name.
    """
    arguments = {} if input is None else input
    given = {"name": name, "input": arguments, "needs_approval": needs_approval, "result": result}
    return checked_call("", given)


def turn(
    text: str | Iterable[str] = ("Hello ", "world"),
    *,
    tool_calls: Iterable[tuple[str, Mapping[str, Any]] | Mapping[str, Any]] = (),
    usage: tuple[int, int] = (10, 2),
    reasoning: str | Iterable[str] = (),
    delay_ms: int = 0,
    spread_ms: int | None = None,
    retries: int = 0,
    cuts: Iterable[int] = (),
    stop_reason: str | None = None,
    error: str | None = None,
    hang: bool = False,
    disconnect_after: int | None = None,
    lose_input: bool = False,
) -> dict[str, Any]:
    """Describes one turn.

    Args:
        text: The answer, as one delta or as several.
        tool_calls: Pairs of name and arguments, or what ``call`` returns; they come first, all in
            one run.
        usage: Prompt and completion tokens of every run.
        reasoning: The reasoning before the answer, as one delta or as several.
        delay_ms: Milliseconds before each delta.
        spread_ms: Milliseconds over which all deltas are spread evenly instead.
        retries: How many times the model fails before it answers.
        cuts: After how many pieces of text the answer breaks off, one number for each time; it is
            then tried again in another run.
        stop_reason: That of the last run; ``end_turn`` by default, or ``error`` with an error.
        error: The error with which the turn ends.
        hang: The turn never ends by itself; after its text nothing more comes until it is stopped.
            Without text and reasoning the model never answers, and as on a real server the
            conversation is stuck: the stop is confirmed, but later inputs stay in the queue.
        disconnect_after: The connection is cut after this many deltas.
        lose_input: The connection is cut and the input lost on the way, for the next one to start
            the next turn.

    Raises:
        InvalidOption: A field is not usable; the message begins with its name. It is a
            ``ValueError``.
    """
    return checked_turn(
        "",
        {
            "text": text,
            "tool_calls": tool_calls,
            "usage": usage,
            "reasoning": reasoning,
            "delay_ms": delay_ms,
            "spread_ms": spread_ms,
            "retries": retries,
            "cuts": cuts,
            "stop_reason": stop_reason,
            "error": error,
            "hang": hang,
            "disconnect_after": disconnect_after,
            "lose_input": lose_input,
        },
    )
