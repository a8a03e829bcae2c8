"""Keeps what was decided on permission requests, when and by whom."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, overload

from . import _native
from ._decided import Decided
from ._jobs import Later
from ._json import encode
from ._rule import Rule, described
from ._said import kind_and_said
from .approvals import Answered, ApprovalHandler, ApprovalRequest
from .decisions import Decision
from .errors import InvalidCommand
from .messages import Fields

__all__ = ["Audit", "AuditEntry"]

_LATE = "too late: nobody is waiting for the answer any more"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One decision. It cannot be changed.

    Attributes:
        time: When it was made, in UTC.
        tool_name: The tool that wanted to run.
        input: Its arguments.
        decision: What was decided, as it goes over the wire (``decision.behavior`` is ``allow`` or
            ``deny``); ``None`` where ``error`` says why there is no decision.
        by: Who decided: the rule of a policy, or the name of the function.
        error: Why the handler's answer had no effect: it failed, which denies the request, or it
            came too late, because the turn was stopped or somebody else was first.
        request_id: The server's id of the request.
        tool_call_id: The model's id of the call, as in ``result.tool_calls``.
        runtime: The agent and the conversation that asked, usable as ``runtime=`` of a command.
    """

    time: datetime
    tool_name: str
    input: Fields
    decision: Fields | None
    by: str
    error: str | None = None
    request_id: str = ""
    tool_call_id: str = ""
    runtime: Fields = field(default_factory=lambda: Fields({}))


class Audit(Sequence[AuditEntry]):
    """Wraps a handler of permission requests, and lists what it decided.

    ::

        audit = policy.Audit(rules)
        await client.run_turn(runtime=runtime, payload=payload, approvals=audit)
        for entry in audit:
            print(entry.time, entry.tool_name, entry.decision, entry.by)

    The events of the turn say whether the server accepted a decision. One audit may be used for
    many turns and clients, from any thread. It grows with every request.
    """

    def __init__(self, handler: ApprovalHandler, by: str | None = None) -> None:
        """Takes the function or the policy that decides.

        Args:
            handler: What decides, as with ``approvals=``.
            by: Who that is, instead of the rule or the name of the function.

        Raises:
            TypeError: It is not a function.
        """
        given: object = handler
        if not callable(given):
            raise TypeError(f"Audit: expected a function, got {type(given).__name__}")
        self._handler = handler
        self._by = by
        self._entries: list[AuditEntry] = []
        self._decided: Decided | None = None

    @classmethod
    def into(cls, decided: Decided, handler: ApprovalHandler) -> Audit:
        """Wraps a handler whose decisions are kept by a session."""
        audit = cls(handler)
        audit._decided = decided
        return audit

    def __call__(self, request: ApprovalRequest) -> Answered | Awaitable[Answered]:
        """Lets the handler decide, and keeps what it did; raises what it raises."""
        handler, by = self._handler, self._by
        if isinstance(handler, Rule):
            # Of a policy, the rule that decides is more telling than the policy.
            handler = handler.pick(request)
        by = _decider(handler, request) if by is None else by
        try:
            answer = handler(request)
        except BaseException as error:
            self._keep(request, by, error=kind_and_said(error))
            raise
        if inspect.isawaitable(answer):
            return Later(answer, functools.partial(self._later, request, by))
        self._keep(request, by, answer)
        return answer

    async def _later(
        self, request: ApprovalRequest, by: str, answer: Awaitable[Answered]
    ) -> Answered:
        try:
            decided = await answer
        except BaseException as error:
            self._keep(request, by, error=kind_and_said(error))
            raise
        self._keep(request, by, decided)
        return decided

    def _keep(
        self, request: ApprovalRequest, by: str, answer: object = None, error: str | None = None
    ) -> None:
        decision = None
        if request.cancelled.is_set():
            error = f"{_LATE} ({error or _behavior(answer)})"
        elif error is None:
            decision, error = _outcome(answer)
        entry = AuditEntry(
            time=datetime.now(timezone.utc),
            tool_name=request.tool_name,
            # A copy, like the decision: what the handler holds may be changed later.
            input=Fields(request.input.to_dict()),
            decision=None if decision is None else Fields(decision),
            by=by,
            error=error,
            request_id=request.request_id,
            tool_call_id=request.tool_call_id,
            runtime=Fields(request.runtime.to_dict()),
        )
        if self._decided is None:
            self._entries.append(entry)
        else:
            self._decided.add(entry, len(request.raw_text.encode(errors="replace")))

    @overload
    def __getitem__(self, index: int) -> AuditEntry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[AuditEntry]: ...

    def __getitem__(self, index: Any) -> Any:
        found = self._entries[index]
        return tuple(found) if isinstance(index, slice) else found

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[AuditEntry]:
        return iter(tuple(self._entries))

    def __repr__(self) -> str:
        return f"Audit({described(self._handler)}, {len(self)} entries)"


def _decider(handler: ApprovalHandler, request: ApprovalRequest) -> str:
    """Who decides: with another audit in between, what that one says."""
    while isinstance(handler, Audit):
        if handler._by is not None:  # noqa: SLF001 - of this class
            return handler._by  # noqa: SLF001
        handler = handler._handler  # noqa: SLF001
    return described(handler.pick(request) if isinstance(handler, Rule) else handler)


def _outcome(answer: object) -> tuple[dict[str, Any] | None, str | None]:
    """The decision as it is sent, or why none is."""
    given = answer.to_dict() if isinstance(answer, Decision) else answer
    if not isinstance(given, Mapping):
        return None, f"{type(answer).__name__} is not a decision"
    try:
        text = encode(given)
    except InvalidCommand as error:
        return None, str(error)
    decision: dict[str, Any] = json.loads(text)
    wrong = _native.check_decision(text)
    return (decision, None) if wrong is None else (None, wrong)


def _behavior(answer: object) -> str:
    """What would have been decided."""
    given = answer.to_dict() if isinstance(answer, Decision) else answer
    behavior = given.get("behavior") if isinstance(given, Mapping) else None
    return behavior if isinstance(behavior, str) else type(answer).__name__
