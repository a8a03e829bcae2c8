r"""Approvals as policy: rules that decide on permission requests, instead of a function.

::

    rules = policy.first_match(
        policy.allow("Read", "Grep", "Glob"),
        policy.allow("Bash", command=r"^(pytest|ruff) [\w./-]*\Z"),
        policy.deny("Bash", command=r"\bsudo\b", message="not as root"),
        policy.ask(on_approval),
    )
    opening = client.session(agent_id="agent-123", approvals=rules)

What rules decide is final for the server: an ``allow`` runs the tool. **A pattern is searched, not
matched to the end**: ``command=r"^pytest\b"`` also allows ``pytest; rm -rf /``. Anchor what you
allow at both ends, and leave no room for ``;``, ``&``, ``|``, ``$`` and line breaks.

A policy can be pickled, if the functions in it can be.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from . import _native
from ._audit import Audit, AuditEntry
from ._rule import Policy, Rule, described, no_rule, rule
from .approvals import Answered, ApprovalHandler, ApprovalRequest
from .decisions import Decision
from .decisions import allow as _allowed
from .decisions import deny as _denied
from .errors import InvalidOption

__all__ = ["Audit", "AuditEntry", "Otherwise", "Policy", "Rule", "allow", "allow_all", "ask"]
__all__ += ["deny", "first_match"]

Otherwise: TypeAlias = "Rule | Decision | ApprovalHandler | Callable[..., Rule]"
"""What decides where no rule does: a rule, a decision, a function, ``policy.deny`` or
``policy.allow_all``."""


def allow(*tool_names: str, **argument_patterns: str | re.Pattern[str]) -> Rule:
    """Makes a rule that lets tools run.

    Args:
        *tool_names: The tools, by their exact names. At least one: a list of names that happens to
            be empty must not allow everything, which is what ``allow_all`` is for.
        **argument_patterns: Regular expressions by the name of an argument; each has to be found in
            the text of that argument. An argument that is missing, or is not a string, does not
            match.

    Raises:
        InvalidOption: No tool is named, or a pattern is not a regular expression.
        TypeError: A name or a pattern is not a string.
    """
    if not tool_names:
        raise InvalidOption("allow: expected names of tools; policy.allow_all() allows every tool")
    return rule("allow", tool_names, argument_patterns, _allow)


def allow_all() -> Rule:
    """Makes a rule that lets every tool run, with any arguments.

    It decides on every request that reaches it, so put it last, or pass it to ``first_match`` as
    ``otherwise``.
    """
    return rule("allow_all", (), {}, _allow)


def deny(
    *tool_names: str, message: str | None = None, **argument_patterns: str | re.Pattern[str]
) -> Rule:
    """Makes a rule that keeps tools from running.

    A rule that denies by a pattern is a convenience, not a protection: there are many ways to write
    a command. If something must not run at all, deny it without a pattern, or let no rule allow it.

    Args:
        *tool_names: The tools, by their exact names; none means every tool.
        message: What the agent is told; it becomes the result of the tool call.
        **argument_patterns: As in ``allow``. An argument with the name ``message`` cannot be named.

    Raises:
        InvalidOption: A pattern is not a regular expression.
        TypeError: A name, a pattern or the message is not a string.
    """
    decide = _denied_by_rule if message is None else _Given(_denied(message))
    return rule("deny", tool_names, argument_patterns, decide)


def ask(
    handler: ApprovalHandler, /, *tool_names: str, **argument_patterns: str | re.Pattern[str]
) -> Rule:
    """Makes a rule that lets a function decide.

    Args:
        handler: Takes the ``ApprovalRequest``, as with ``approvals=``. An ``async def`` runs on the
            client's loop, any other function in a thread. If it raises, the request is denied.
        *tool_names: The tools, by their exact names; none means every tool.
        **argument_patterns: As in ``allow``.

    Raises:
        InvalidOption: A pattern is not a regular expression.
        TypeError: The handler is not a function; a name or a pattern is not a string.
    """
    given: object = handler
    if not callable(given):
        raise TypeError(f"ask: expected a function, got {type(given).__name__}")
    return rule("ask", tool_names, argument_patterns, handler, described(handler))


def first_match(*rules: Rule, otherwise: Otherwise = deny) -> Policy:
    """Makes a policy: the first rule whose tools and patterns match decides.

    The result is a function for ``approvals=``, ``client.on_approval_request`` and ``Audit``. Used
    as a rule of another ``first_match``, it decides on every request that reaches it.

    Args:
        *rules: The rules, in order.
        otherwise: What decides when no rule matches. By default the request is denied;
            ``policy.allow_all()`` is for a policy that only lists what is not allowed.

    Raises:
        InvalidOption: ``otherwise`` is ``policy.allow``, which needs names.
        TypeError: One of them is not a rule; ``ask`` makes a rule from a function.
    """
    for one in rules:
        given: object = one
        if not isinstance(given, Rule):
            raise TypeError(f"first_match: expected rules, got {type(given).__name__}")
    return Policy(rules, _last(otherwise))


def _last(otherwise: Any) -> Rule:
    if isinstance(otherwise, Rule):
        return otherwise
    if isinstance(otherwise, Decision):
        return rule(f"otherwise {otherwise.behavior}", (), {}, _Given(otherwise))
    if otherwise is allow_all:
        return rule("otherwise allow", (), {}, _allow)
    if otherwise is deny:
        return rule("otherwise deny", (), {}, no_rule)
    if otherwise is allow:
        raise InvalidOption(
            "otherwise: allow needs names of tools; policy.allow_all() allows every tool"
        )
    return ask(otherwise)


def _allow(_: ApprovalRequest) -> Answered:
    return _allowed()


def _denied_by_rule(request: ApprovalRequest) -> Answered:
    return _denied(_native.denied_by_rule(request.tool_name))


class _Given:
    """Gives one decision. No function within a function: those cannot be pickled."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision

    def __call__(self, _: ApprovalRequest) -> Answered:
        return self._decision
