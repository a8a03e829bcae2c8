"""Asks for a decision in a notebook's line for input, which works while a cell runs."""

from __future__ import annotations

import json
from typing import Any

from ..approvals import ApprovalRequest
from ..decisions import Decision, allow, deny

__all__ = ["InputLine", "understood"]

_HELP = "y = allow, n [why] = deny, e {json} = allow with other input"


class InputLine:
    """One question to the front end that can be given up, unlike ``input``."""

    def __init__(self, kernel: Any, request: ApprovalRequest) -> None:
        """Takes the kernel, whose front end has a line for input."""
        self._kernel = kernel
        self._request = request

    def show(self, problem: str = "") -> None:
        """Asks."""
        always = ", a = always allow" if self._request.suggestions else ""
        text = f"{problem}Allow {self._request.tool_name}? {_HELP}{always}: "
        kernel = self._kernel
        kernel.session.send(
            kernel.stdin_socket,
            "input_request",
            {"prompt": text, "password": False},
            kernel.get_parent("shell"),
            ident=kernel._parent_ident["shell"],  # noqa: SLF001 - as for its own `input`
        )

    def answer(self, seconds: float) -> Decision | None:
        """What was answered within so many seconds, if anything."""
        kernel = self._kernel
        if not kernel.stdin_socket.poll(int(seconds * 1000)):
            return None
        _, reply = kernel.session.recv(kernel.stdin_socket)
        text = "" if reply is None else str(reply["content"].get("value", ""))
        decision = understood(text, self._request)
        if decision is None:
            self.show("That was not understood. ")
        return decision


def understood(text: str, request: ApprovalRequest) -> Decision | None:
    """The decision that somebody has typed; ``None`` when it is none."""
    word, _, rest = text.strip().partition(" ")
    word = word.lower()
    if word in ("y", "yes"):
        return allow()
    if word in ("n", "no"):
        return deny(rest.strip() or "the user denied it")
    if word in ("a", "always") and request.suggestions:
        return allow(suggestions=request.suggestions[:1])
    if word in ("e", "edit"):
        try:
            changed = json.loads(rest)
        except ValueError:
            return None
        return allow(updated_input=changed) if isinstance(changed, dict) else None
    return None
