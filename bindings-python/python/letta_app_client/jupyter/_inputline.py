"""Asks for a decision in a notebook's line for input, which works while a cell runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, ClassVar

from .._loops import logger
from ..approvals import ApprovalRequest
from ..decisions import Decision, allow, deny
from . import _front, _stdin

__all__ = ["InputLine", "understood"]

_NOT_UNDERSTOOD = "That was not understood. "
_WIDTH = 100
"""Letters of a line: not every front end breaks those of a question."""

_NOT_NAMED = "The notebook does not say which question an answer is for, so the answer must. "


class InputLine:
    """One question to the front end that can be given up, unlike ``input``.

    What is typed counts only for the question that it was typed for. JupyterLab says with each
    answer which request it belongs to. Where a front end does not (jupyter console, Notebook 6),
    the answer has to repeat a word of the question: it might have been typed into the box of a cell
    that was stopped.
    """

    _names_nothing: ClassVar[bool] = False
    """Whether an answer has come that did not say what it was for."""

    def __init__(self, kernel: Any, request: ApprovalRequest) -> None:
        """Takes the kernel, whose front end has a line for input. Nothing is asked yet."""
        self._kernel = kernel
        self._request = request
        self._word = os.urandom(2).hex()
        self._sent: set[str] = set()
        self._cell = ""
        self.is_open = False
        _stdin.share(kernel)

    def open(self) -> None:
        """Asks, unless something else is asked for at the moment: the program's own ``input``."""
        if self.is_open or not _stdin.take(self._kernel):
            return
        self.is_open = True
        self._forget_what_is_typed()
        self._ask()

    def close(self) -> None:
        """Lets others ask. What is typed for it from now on is forgotten."""
        if self.is_open:
            self.is_open = False
            _stdin.give_back()

    def answer(self, seconds: float) -> Decision | None:
        """What was answered within so many seconds, if anything."""
        kernel = self._kernel
        current = _front.current_cell(kernel)
        if current is not None and self._cell != _cell_of(current[0]):
            # Its box may be gone with that cell, and the next one may have something to ask.
            self.close()
            return None
        if not kernel.stdin_socket.poll(int(seconds * 1000)):
            return None
        try:
            _, reply = kernel.session.recv(kernel.stdin_socket)
        except Exception as error:  # noqa: BLE001 - logged
            # Whatever else is sent there decides nothing; the answer may still come.
            logger.warning("a message for the input line could not be read: %s", error)
            return None
        return None if reply is None else self._taken(reply)

    def _taken(self, reply: Any) -> Decision | None:
        content = reply.get("content")
        text = str(content.get("value", "")) if isinstance(content, Mapping) else ""
        named = (reply.get("parent_header") or {}).get("msg_id")
        if named in (None, "", self._cell):
            InputLine._names_nothing = True
            if self._word not in text.split()[1:2]:
                self._ask(_NOT_NAMED)
                return None
        elif named not in self._sent:
            return None  # typed for what nobody asks any more
        decision = understood(self._without_word(text), self._request)
        if decision is None:
            self._ask(_NOT_UNDERSTOOD)
        return decision

    def _without_word(self, text: str) -> str:
        first, _, rest = text.strip().partition(" ")
        word, _, more = rest.strip().partition(" ")
        return f"{first} {more}" if word == self._word else text

    def _ask(self, problem: str = "") -> None:
        kernel = self._kernel
        parent, ident = _front.running(kernel)
        self._cell = _cell_of(parent)
        content = {"prompt": self._text(problem), "password": False}
        sent = kernel.session.send(
            kernel.stdin_socket, "input_request", content, parent, ident=ident
        )
        self._sent.add(sent["header"]["msg_id"])

    def _text(self, problem: str) -> str:
        request = self._request
        word = f" {self._word}" if InputLine._names_nothing else ""
        always = f", a{word} = always allow" if request.suggestions else ""
        tool, what = _printable(request.tool_name), _wrapped(request.input.to_dict())
        return (
            f"{tool} wants to run:\n{what}\n"
            f"{problem}Allow {tool}? y{word} = allow, n{word} [why] = deny,"
            f" e{word} {{json}} = allow with other input{always}: "
        )

    def _forget_what_is_typed(self) -> None:
        """What is there by now was typed for something else; ``input`` does the same."""
        import zmq  # noqa: PLC0415 - kernels have it

        socket = self._kernel.stdin_socket
        # Unread: it may be damaged, or of an earlier session.
        while socket.poll(0):
            socket.recv_multipart(zmq.NOBLOCK)


def _cell_of(parent: Any) -> str:
    return str((parent.get("header") or {}).get("msg_id", ""))


def _printable(text: str) -> str:
    """A terminal obeys what is not: an agent could write over the question."""
    return "".join(one if one.isprintable() else "�" for one in text)


def _wrapped(given: Any) -> str:
    """The whole input: whoever allows something has seen all of it."""
    dumped = json.dumps(given, indent=2, ensure_ascii=False, default=str)
    lines = [_printable(line) for line in dumped.split("\n")]
    return "\n".join(
        line[at : at + _WIDTH] for line in lines for at in range(0, len(line) or 1, _WIDTH)
    )


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
