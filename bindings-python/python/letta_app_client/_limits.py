"""What is given as a time, checked where it is given."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Final, Literal, TypeAlias, get_args

from .errors import InvalidOption

__all__ = [
    "DEFAULT",
    "Resend",
    "Timeout",
    "TurnLimits",
    "at_most",
    "expect_resend",
    "grace",
    "limit",
    "request_limit",
    "turn_limits",
]

Timeout: TypeAlias = float | Literal["default"] | None
"""Seconds above zero, ``"default"`` for the client's ``request_timeout``, or ``None`` (or
``math.inf``) for no limit."""

Resend: TypeAlias = Literal["if_uncommitted", "never"]
"""Whether an input that was lost with its connection is sent again: when the stored conversation
proves that it had not arrived, or never."""

TurnLimits: TypeAlias = tuple[
    float | None, float | None, float | None, float | None, float, float, float, Resend
]
"""The limits of a turn in the order in which the engine takes them."""

DEFAULT: Final = "default"
"""The text that stands for the client's own limit, nearly always this very one."""

LONGEST = 1e9
"""Longer limits mean "never", and would overflow the engine's clock."""


def request_limit(name: str, value: Any) -> Timeout:
    """Checks the limit of a request, which may be left to the client.

    Raises:
        InvalidOption: It is no such limit; the message begins with the name.
    """
    if isinstance(value, str) and value == "default":
        return "default"
    return limit(name, value, expected='seconds above 0, None or "default"')


def limit(name: str, value: Any, *, expected: str = "seconds above 0 or None") -> float | None:
    """Checks a limit; ``None`` and everything beyond 30 years is no limit.

    Raises:
        InvalidOption: It is no such limit; the message begins with the name.
    """
    if value is None:
        return None
    if type(value) in _NUMBERS and 0 < value < LONGEST:
        return float(value)
    # NaN is not above zero either.
    if not _is_number(value) or not value > 0:
        raise _refused(name, expected, value)
    return float(value) if value < LONGEST else None


def grace(name: str, value: Any) -> float:
    """Checks a time that may also be zero, and for the engine always is a number.

    Raises:
        InvalidOption: It is no such time; the message begins with the name.
    """
    if type(value) in _NUMBERS and 0 <= value < LONGEST:
        return float(value)
    if value is None or (_is_number(value) and value >= LONGEST):
        return LONGEST
    if not _is_number(value) or math.isnan(value) or value < 0:
        raise _refused(name, "seconds from 0 or None", value)
    return float(value)


def at_most(seconds: float) -> float:
    """What the engine takes in place of a time without end: a number of any length is none."""
    # In this order, in which a number that is none stays one, and is refused.
    return min(seconds, LONGEST)


def turn_limits(
    *,
    timeout: Any,
    idle_timeout: Any,
    tool_timeout: Any,
    approval_timeout: Any,
    abort_grace: Any,
    accept_timeout: Any,
    recover_timeout: Any,
    resend: Any,
) -> TurnLimits:
    """Checks the limits of a turn.

    Raises:
        InvalidOption: One is no limit; the message begins with its name.
    """
    expect_resend("resend", resend)
    return (
        limit("timeout", timeout),
        limit("idle_timeout", idle_timeout),
        limit("tool_timeout", tool_timeout),
        limit("approval_timeout", approval_timeout),
        grace("abort_grace", abort_grace),
        limit("accept_timeout", accept_timeout) or LONGEST,
        grace("recover_timeout", recover_timeout),
        resend,
    )


def expect_resend(name: str, value: object) -> None:
    """Checks what becomes of a lost input.

    Raises:
        InvalidOption: It is no such word; the message begins with the name.
    """
    if value not in _RESENDS:
        raise InvalidOption(f'{name}: expected "if_uncommitted" or "never", got {value!r}')


_RESENDS = get_args(Resend)

# What nearly all limits are; to be looked up, which is quicker than to ask for base classes.
_NUMBERS = frozenset({int, float})


def _is_number(value: object) -> bool:
    # A truth value is an int, but nobody means one of 1 s. Numbers of numpy are no ints.
    return isinstance(value, Real) and not isinstance(value, bool)


def _refused(name: str, expected: str, value: object) -> InvalidOption:
    return InvalidOption(f"{name}: expected {expected}, got {value!r} ({type(value).__name__})")
