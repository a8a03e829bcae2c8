"""Rules that decide on permission requests, and lists of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from . import _native
from .approvals import Answered, ApprovalRequest
from .decisions import deny
from .errors import InvalidOption

__all__ = ["Policy", "Rule", "described", "no_rule", "rule"]

Decide: TypeAlias = "Callable[[ApprovalRequest], Answered | Awaitable[Answered]]"


class Rule:
    """Decides on the requests that match it; made by ``policy.allow``, ``deny`` and ``ask``.

    It is a function for ``approvals=`` as well: alone it denies what it does not match.
    """

    def __init__(
        self,
        name: str,
        tools: frozenset[str],
        patterns: Mapping[str, re.Pattern[str]],
        decide: Decide,
        who: str = "",
    ) -> None:
        """Takes checked values; see ``policy``."""
        self._name = name
        self._tools = tools
        self._patterns = dict(patterns)
        self._decide = decide
        self._who = who

    def matches(self, request: ApprovalRequest) -> bool:
        """Whether it decides on a request."""
        if self._tools and request.tool_name not in self._tools:
            return False
        given = request.input.raw
        return all(
            isinstance(text := given.get(name), str) and pattern.search(text) is not None
            for name, pattern in self._patterns.items()
        )

    def pick(self, request: ApprovalRequest) -> Rule:
        """The single rule that decides on a request: itself, or one of those it holds."""
        return self if self.matches(request) else _NO_MATCH

    def __call__(self, request: ApprovalRequest) -> Answered | Awaitable[Answered]:
        """Decides; what an ``async def`` in ``ask`` returns has to be awaited."""
        return self.pick(request)._decide(request)  # noqa: SLF001 - of this class

    def __repr__(self) -> str:
        limits = [self._who] if self._who else []
        limits += [repr(name) for name in sorted(self._tools)]
        limits += [f"{name}={pattern.pattern!r}" for name, pattern in self._patterns.items()]
        return f"{self._name}({', '.join(limits)})" if limits else self._name


class Policy(Rule):
    """Lets the first rule decide that matches; made by ``policy.first_match``."""

    def __init__(self, rules: Sequence[Rule], otherwise: Rule) -> None:
        """Takes the rules in order, and the one that decides where none matches."""
        super().__init__("first_match", frozenset(), {}, no_rule)
        self._rules = (*rules, otherwise)

    def pick(self, request: ApprovalRequest) -> Rule:
        """The single rule that decides on a request."""
        found = next((one for one in self._rules if one.matches(request)), _NO_MATCH)
        return found.pick(request)

    def __repr__(self) -> str:
        *rules, otherwise = self._rules
        return f"first_match({', '.join([*map(repr, rules), f'otherwise={otherwise!r}'])})"


def rule(
    name: str,
    tools: Iterable[str],
    patterns: Mapping[str, str | re.Pattern[str]],
    decide: Decide,
    who: str = "",
) -> Rule:
    """Makes a rule of what users gave.

    Raises:
        InvalidOption: A pattern is not a regular expression.
        TypeError: A name or a pattern is not a string.
    """
    names = tuple(tools)
    for one in names:
        given: object = one
        if not isinstance(given, str):
            raise TypeError(f"{name}: expected names of tools, got {type(given).__name__}")
    compiled = {argument: _compiled(argument, pattern) for argument, pattern in patterns.items()}
    return Rule(name, frozenset(names), compiled, decide, who)


def no_rule(request: ApprovalRequest) -> Answered:
    """Denies, as is right for what nobody has thought of."""
    return deny(_native.allowed_by_no_rule(request.tool_name))


def described(function: object) -> str:
    """What a function is called where people read it."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, Rule):
        return repr(function)
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__qualname__


def _compiled(argument: str, pattern: object) -> re.Pattern[str]:
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        return pattern
    if not isinstance(pattern, str):
        raise TypeError(
            f"{argument}: expected a regular expression as text, got {type(pattern).__name__}"
        )
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InvalidOption(f"{argument}: not a regular expression: {error}") from None


_NO_MATCH = Rule("no match", frozenset(), {}, no_rule)
