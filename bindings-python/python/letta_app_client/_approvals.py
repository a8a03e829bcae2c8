"""Brings permission requests to the functions that decide on them (protocol section 13)."""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

from . import _native
from ._bridge import Bridge
from ._checks import runtime_ids
from ._jobs import Job, Jobs
from ._json import encode
from ._loops import Loop, logger
from ._said import kind_and_said
from .approvals import ApprovalHandler, ApprovalMode, ApprovalRequest
from .decisions import Decision
from .errors import InvalidCommand, InvalidOption

__all__ = ["Approvals", "chosen"]


_MODES = get_args(ApprovalMode)


def chosen(approvals: object) -> tuple[str, Any]:
    """Tells the engine's name of a behaviour, and the turn's own handler where there is one.

    Raises:
        InvalidOption: It is no such thing.
    """
    if isinstance(approvals, str) and approvals in _MODES:
        return approvals, None
    if callable(approvals):
        return "ask", approvals
    names = ", ".join(f'"{mode}"' for mode in _MODES)
    raise InvalidOption(f"approvals: expected {names} or a function, got {approvals!r}")


class _Approver(NamedTuple):
    """A handler, the context it runs in, and the questions it has and has not answered."""

    handler: ApprovalHandler
    context: contextvars.Context
    open: set[int]


class _ApprovalJob(Job):
    what = "the approval handler"

    def __init__(
        self,
        native: _native.Connection,
        ask: int,
        *,
        loop: Loop,
        approver: _Approver,
        request: ApprovalRequest,
    ) -> None:
        super().__init__(loop, approver.handler, request, approver.context)
        self._native = native
        self._ask = ask
        self._open = approver.open
        self._request = request

    def cancel(self) -> None:
        self._open.discard(self._ask)
        # First: who is cancelled may ask why.
        self._request.cancelled.set()
        super().cancel()

    def label(self) -> str:
        return f"the approval handler, asked for {json.dumps(self._request.tool_name)},"

    def describe(self, error: BaseException) -> str:
        return _native.approver_failed(kind_and_said(error))

    def encode(self, output: Any) -> str:
        if isinstance(output, Decision):
            output = output.to_dict()
        if not isinstance(output, Mapping):
            kind = type(output).__name__
            raise TypeError(f"{self.what} returned {kind}; expected allow(…), deny(…) or a mapping")
        text = encode(output)
        # The engine would deny as well, but nobody would count it.
        wrong = _native.check_decision(text)
        if wrong is not None:
            raise InvalidCommand(wrong)
        return text

    def send(self, answer: str | None, error: str | None) -> None:
        self._native.answer_approval(self._ask, answer, error)
        # Only now: removed in between, the handler returns what is answered, which changes nothing.
        self._open.discard(self._ask)


class Approvals:
    """The handlers of a client and of its turns. The engine says which one is asked."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._native: _native.Connection = bridge.native
        self._handlers: dict[int, _Approver] = {}
        self._jobs = Jobs()

    @property
    def errors(self) -> int:
        """How often a handler raised or returned what is no decision."""
        return self._jobs.errors

    def take(self, token: int, handler: ApprovalHandler | None) -> None:
        """Lets a handler, where there is one, be asked under a token."""
        if handler is not None:
            self._handlers[token] = _Approver(handler, contextvars.copy_context(), set())
            self._bridge.attend()

    def forget(self, token: int) -> None:
        """Ends that. Requests that arrive all the same are asked of others."""
        self._handlers.pop(token, None)

    def add(
        self, handler: ApprovalHandler, runtime: Mapping[str, Any] | None
    ) -> Callable[[], None]:
        """Registers a handler of the client, and returns the function that removes it."""
        checked: object = handler
        if not callable(checked):
            kind = type(checked).__name__
            raise TypeError(f"on_approval_request: expected a function, got {kind}")
        token = self._native.token()
        self._native.handle_approvals(token, runtime_ids(runtime), True)
        self.take(token, handler)

        def remove() -> None:
            approver = self._handlers.pop(token, None)
            if approver is not None:
                self._native.handle_approvals(token, None, False)
                # The engine asks others, and tells that these calls are over.
                for ask in tuple(approver.open):
                    self._native.return_approval(ask)

        return remove

    def ask(self, token: int, ask: int, text: str) -> None:
        """Asks the handler of a token."""
        approver, loop = self._handlers.get(token), self._bridge.loop
        if approver is not None:
            approver.open.add(ask)
        # Looked up again: a thread that removes it now may not have seen this one.
        if approver is None or token not in self._handlers:
            self._native.return_approval(ask)
        elif loop is not None:
            request = ApprovalRequest(text)
            job = _ApprovalJob(self._native, ask, loop=loop, approver=approver, request=request)
            self._jobs.start(ask, job)

    def over(self, ask: int, refused: str | None) -> None:
        """The answer is not wanted any more, or did not count."""
        self._jobs.over(ask)
        if refused is not None:
            logger.warning("an answer to a permission request had no effect: %s", refused)
