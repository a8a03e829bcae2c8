"""Whether a script is one: mistakes are named by their field, before a server reads it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from letta_app_client._checks import expect, expect_text, expect_texts
from letta_app_client._misspelt import meant
from letta_app_client.errors import InvalidOption

__all__ = ["checked_call", "checked_options", "checked_turn", "checked_turns"]

Check = Callable[[str, Any], Any]


def checked_turns(turns: object) -> list[dict[str, Any]]:
    """Returns the turns of a server.

    Raises:
        InvalidOption: They are no turns; the message names the field.
    """
    if isinstance(turns, (str, bytes, Mapping)) or not isinstance(turns, Iterable):
        kind = "one" if isinstance(turns, Mapping) else type(turns).__name__
        raise InvalidOption(f"turns: expected a list of turns, got {kind}")
    return [checked_turn(f"turns[{index}]", turn) for index, turn in enumerate(turns)]


def checked_turn(path: str, turn: object) -> dict[str, Any]:
    """Returns a turn; all of its fields have a default, which ``None`` stands for.

    Raises:
        InvalidOption: It is none.
    """
    expect(path or "turn", turn, "what script.turn returns", (Mapping,))
    return _checked(path, turn, _TURN, may_lack=True)


def checked_call(path: str, call: object) -> dict[str, Any]:
    """Returns a tool call, of which only the name has to be there.

    Raises:
        InvalidOption: It is none.
    """
    if isinstance(call, tuple):
        if not 0 < len(call) <= len(_PAIR):
            raise InvalidOption(f"{path}: expected a name and arguments, got {len(call)} values")
        call = dict(zip(_PAIR, call, strict=False))
    wanted = "a pair of a name and arguments, or what script.call returns"
    expect(path or "call", call, wanted, (Mapping,))
    found = _checked(path, call, _CALL, may_lack=True)
    if "name" not in found:
        raise InvalidOption(f"{_joined(path, 'name')}: expected text, but it is missing")
    return found


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what else a server is made with.

    Raises:
        InvalidOption: One is not usable.
    """
    return _checked("", options, _OPTIONS)


def _checked(
    path: str, given: Any, checks: Mapping[str, Check], *, may_lack: bool = False
) -> dict[str, Any]:
    found = {}
    for name, value in given.items():
        check = checks.get(name)
        if check is None:
            raise _unknown(_joined(path, name), name, checks)
        if value is None and may_lack:
            continue
        found[name] = check(_joined(path, name), value)
    return found


def _unknown(path: str, name: object, known: Collection[str]) -> InvalidOption:
    # It is refused in any case: what is far away may be told as well.
    near = meant(name, known) if isinstance(name, str) else None
    hint = f"there are {', '.join(known)}" if near is None else f"did you mean `{near}`?"
    return InvalidOption(f"{path}: is not a field of a script", hint=hint)


def _joined(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _text(path: str, value: Any) -> str:
    expect_text(path, value)
    return str(value)


def _text_or_none(path: str, value: Any) -> str | None:
    return None if value is None else _text(path, value)


def _texts(path: str, value: Any) -> list[str]:
    return expect_texts(path, value)


def _pieces(path: str, value: Any) -> list[str]:
    return [value] if isinstance(value, str) else _texts(path, value)


def _texts_or_none(path: str, value: Any) -> list[str] | None:
    return None if value is None else expect_texts(path, value)


def _flag(path: str, value: Any) -> bool:
    expect(path, value, "True or False", (bool,))
    return bool(value)


def _count(path: str, value: Any) -> int:
    expect(path, value, "a whole number", (int,))
    if value < 0:
        raise InvalidOption(f"{path}: expected a number from 0, got {value}")
    return int(value)


def _count_or_none(path: str, value: Any) -> int | None:
    return None if value is None else _count(path, value)


def _several(path: str, value: Any, each: Check, wanted: str) -> list[Any]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise InvalidOption(f"{path}: expected {wanted}, got {type(value).__name__}")
    return [each(f"{path}[{index}]", one) for index, one in enumerate(value)]


def _counts(path: str, value: Any) -> list[int]:
    return _several(path, value, _count, "several numbers")


def _usage(path: str, value: Any) -> list[int]:
    found = _several(path, value, _count, "prompt and completion tokens")
    if len(found) != 2:  # noqa: PLR2004 - of prompt and completion
        raise InvalidOption(f"{path}: expected prompt and completion tokens, got {len(found)}")
    return found


def _calls(path: str, value: Any) -> list[Any]:
    return _several(path, value, checked_call, "a list of calls")


def _object(path: str, value: Any) -> dict[str, Any]:
    expect(path, value, "a mapping", (Mapping,))
    return dict(value)


def _answers(path: str, value: Any) -> dict[str, Any]:
    answers = _object(path, value)
    for kind, answer in answers.items():
        expect_text(path, kind)
        if answer is not None:
            expect(f"{path}.{kind}", answer, "a mapping or None", (Mapping,))
    return answers


def _generation(path: str, value: Any) -> str:
    if value not in {"single", "split"}:
        raise InvalidOption(f'{path}: expected "single" or "split", got {value!r}')
    return str(value)


def _slow_reader_limits(path: str, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    expect(path, value, "True, False or a mapping", (Mapping,))
    return _checked(path, value, dict.fromkeys(_SLOW, _count))


_PAIR = ("name", "input")
_SLOW = ("pause_bytes", "max_queued_frames", "max_unsent_bytes", "pong_timeout_ms")

_CALL: Mapping[str, Check] = {
    "name": _text,
    "input": _object,
    "needs_approval": _flag,
    "result": _text,
}

_TURN: Mapping[str, Check] = {
    "text": _pieces,
    "tool_calls": _calls,
    "usage": _usage,
    "reasoning": _pieces,
    "delay_ms": _count,
    "spread_ms": _count_or_none,
    "retries": _count,
    "cuts": _counts,
    "stop_reason": _text_or_none,
    "error": _text_or_none,
    "hang": _flag,
    "disconnect_after": _count_or_none,
    "lose_input": _flag,
}

_OPTIONS: Mapping[str, Check] = {
    "generation": _generation,
    "token": _text_or_none,
    "answers": _answers,
    "models": _texts_or_none,
    "files": _flag,
    "directories": _texts_or_none,
    "ping_interval_ms": _count_or_none,
    "slow_reader_limits": _slow_reader_limits,
    "turn_events": _flag,
    "correlation": _flag,
}
