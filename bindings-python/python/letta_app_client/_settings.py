"""The settings of turns, checked where they are given: before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from ._approvals import chosen
from ._checks import expect, expect_names, expect_texts
from ._limits import expect_resend, grace, limit

if TYPE_CHECKING:
    from .session import TurnSettings

__all__ = ["checked", "expect_check"]


def checked(method: str, settings: Mapping[str, Any], others: Iterable[str] = ()) -> TurnSettings:
    """Returns the settings of turns, which can be read as often as one likes.

    What is wrong only with the turn would be found when its conversation has been started, which
    nobody would then know of.

    Args:
        method: What the user called.
        settings: The keyword arguments that it passes on.
        others: Its own ones, which a misspelt one may have been meant for.

    Raises:
        TypeError: There is no such setting.
        InvalidOption: One is not usable; the message begins with its name.
    """
    expect_names(method, settings, _CHECKS, others)
    found = dict(settings)
    for name, value in found.items():
        usable = _CHECKS[name](name, value)
        if name == "allow":
            # A generator gives its names once.
            found[name] = usable
    return cast("TurnSettings", found)


def expect_check(check: object, *, otherwise: bool) -> bool:
    """Returns whether turns are raised that the agent did not end, or what holds without a word.

    Raises:
        InvalidOption: It is neither ``True`` nor ``False``.
    """
    if check is None:
        return otherwise
    expect("check", check, "True or False", (bool,))
    return bool(check)


_CHECKS: dict[str, Callable[[str, Any], object]] = {
    "timeout": limit,
    "idle_timeout": limit,
    "tool_timeout": limit,
    "approval_timeout": limit,
    "abort_grace": grace,
    "accept_timeout": limit,
    "recover_timeout": grace,
    "resend": expect_resend,
    "approvals": lambda _, approvals: chosen(approvals),
    "allow": expect_texts,
}
