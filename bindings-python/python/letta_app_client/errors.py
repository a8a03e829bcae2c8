"""The errors of the package.

::

    LettaAppError(Exception)                 code, retryable, hint
    ├─ InvalidOption(…, ValueError)          an option has an unusable value; nothing was sent
    ├─ ConnectionFailed(…, ConnectionError)  the connection could not be opened, or there is no
    │                                        App Server
    ├─ AuthError                             the server refused the token (protocol section 4)
    ├─ ProtocolMismatch                      the server refuses split channels
    ├─ Disconnected                          the connection ended; reason, close_code,
    │                                        will_reconnect
    ├─ ClientClosed                          the client was closed by its owner
    ├─ RequestError                          the server answered with a refusal; response
    ├─ RequestTimeout(…, TimeoutError)       no answer within the request's time limit
    ├─ MessageTooLarge                       larger than max_message_bytes; not sent
    ├─ InvalidCommand                        malformed or misspelt; not sent
    ├─ UnsupportedByServer                   the server is too old for it; not sent
    ├─ TooManyRequests                       more than max_pending_requests wait; not sent
    ├─ TurnError                             result = what is known of the turn
    │  ├─ TurnFailed                         the turn ended with an error
    │  ├─ TurnAborted                        the turn was stopped, or removed from the queue
    │  ├─ TurnTimeout(…, TimeoutError)       its total time limit passed
    │  ├─ TurnIdleTimeout(…, TimeoutError)   nothing was heard of it for its idle limit
    │  ├─ TurnInterrupted                    the connection ended, or no sign of the input: the
    │  │                                     outcome is unknown
    │  ├─ ApprovalRequired                   a permission is needed; request
    │  └─ StructuredOutputError              no result that fits output_type; text, errors
    ├─ Lagged                                a subscription's reader lagged; dropped_count
    ├─ ServerStartError                      a server of your own did not start; command,
    │                                        exit_code, output_tail
    ├─ WrongLoop                             used from another event loop
    ├─ ForkedProcess                         the client belongs to the parent process
    └─ InternalError                         a defect of this package
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from . import _native
from ._decode import decode
from ._parse import parse
from .approvals import ApprovalRequest
from .decisions import Decision
from .messages import Message
from .results import TurnResult

__all__ = [
    "ApprovalRequired",
    "AuthError",
    "ClientClosed",
    "ConnectionFailed",
    "Disconnected",
    "ForkedProcess",
    "InternalError",
    "InvalidCommand",
    "InvalidOption",
    "Lagged",
    "LettaAppError",
    "MessageTooLarge",
    "ProtocolMismatch",
    "RequestError",
    "RequestTimeout",
    "ServerStartError",
    "StructuredOutputError",
    "TooManyRequests",
    "TurnAborted",
    "TurnError",
    "TurnFailed",
    "TurnIdleTimeout",
    "TurnInterrupted",
    "TurnTimeout",
    "UnsupportedByServer",
    "WrongLoop",
]


class LettaAppError(Exception):
    """The base of all errors of this package.

    Attributes:
        code: The stable name of the kind of error, the same in Rust, Python and Node. It is empty
            for the two base classes.
        retryable: Whether the same call may succeed when it is made again unchanged. It is
            ``False`` where the outcome of a turn is uncertain, because an input that is repeated
            may run twice. It is ``True`` for a ``Disconnected`` or ``TurnInterrupted`` if nothing
            was sent, or the input has not arrived, and the client reconnects by itself. A request
            that got no answer may still have been carried out: if it creates something, that may
            then exist twice. An error of the engine has its own value; the class has the usual one.
        hint: What you can do about it; ``None`` if there is nothing to say.
    """

    code: ClassVar[str] = ""
    retryable: bool = False
    hint: str | None

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = str(self.args[0]) if self.args else ""
        return f"{message} ({self.hint})" if self.hint else message


class InvalidOption(LettaAppError, ValueError):
    """An option has an unusable value (URL, token, limits). The message begins with its name."""

    code = "invalid_option"


class ConnectionFailed(LettaAppError, ConnectionError):
    """The connection could not be opened; the message says why."""

    code = "connection_failed"
    retryable = True


class AuthError(LettaAppError):
    """The server refused the credentials (HTTP 401 or 403, protocol section 4)."""

    code = "auth"


class ProtocolMismatch(LettaAppError):
    """The server does not speak the protocol that was asked for.

    It has one socket for everything and refuses split channels (HTTP 426), which happens only with
    ``transport="split"``. What is no App Server at all is a ``ConnectionFailed``.
    """

    code = "protocol_mismatch"


class Disconnected(LettaAppError):
    """There is no connection, or it ended; the outcome of what was in flight is unknown.

    Attributes:
        reason: What happened, in words.
        close_code: The WebSocket close code, 1006 where there was no close frame; ``None`` when
            there was no connection to begin with.
        will_reconnect: Whether the client connects again by itself.
    """

    code = "disconnected"
    close_code: int | None = None
    will_reconnect: bool = False

    @property
    def reason(self) -> str:
        """What happened, in words."""
        return str(self.args[0]) if self.args else ""


class ClientClosed(LettaAppError):
    """The client was closed by its owner."""

    code = "closed"


class RequestError(LettaAppError):
    """The server answered a request with a refusal (``success: false`` or ``accepted: false``).

    Or the server agreed, but its answer lacks what was asked for, such as the runtime it started.

    Attributes:
        response: The server's answer; ``None`` for a command without a response, such as the one of
            ``Session.set_cwd``.
    """

    code = "request"
    response: Message | None = None


class RequestTimeout(LettaAppError, TimeoutError):
    """No answer came within the request's time limit. The request may have been carried out."""

    code = "request_timeout"
    retryable = True


class MessageTooLarge(LettaAppError):
    """A message is larger than ``max_message_bytes``; it was not sent."""

    code = "message_too_large"


class InvalidCommand(LettaAppError):
    """A command is malformed, or one of its fields is misspelt.

    It was not sent: the server would not answer it, or would ignore the field (section 5.1). Names
    are compared where a method takes fields by name; a whole command, given to ``request`` or
    ``send``, may have any field.
    """

    code = "invalid_command"


class UnsupportedByServer(LettaAppError):
    """The server is too old for a command, and would not answer it (protocol sections 1 and 5).

    Nothing was sent.
    """

    code: ClassVar[str] = "unsupported_by_server"


class TooManyRequests(LettaAppError):
    """More requests and turns are waiting than ``max_pending_requests`` allows.

    Nothing was sent; make the same call again when others are done.
    """

    code: ClassVar[str] = "too_many_requests"
    retryable = True


class TurnError(LettaAppError):
    """A turn did not come to a good end.

    Attributes:
        result: What is known of the turn: text, tool calls and usage so far.
        close_code: The WebSocket close code, where the connection was lost.
        will_reconnect: Whether the client connects again by itself; the turn is not sent again.
    """

    result: TurnResult | None = None
    close_code: int | None = None
    will_reconnect: bool = False


class TurnFailed(TurnError):
    """The turn ended with an error."""

    code = "turn_failed"


class TurnAborted(TurnError):
    """The turn was stopped, or its input was removed from the queue before it started."""

    code = "turn_aborted"


class TurnTimeout(TurnError, TimeoutError):
    """The turn's total time limit passed; the turn was told to stop."""

    code = "turn_timeout"


class TurnIdleTimeout(TurnError, TimeoutError):
    """Nothing was heard of the turn for as long as its idle limit; the turn was told to stop."""

    code = "turn_idle_timeout"


class TurnInterrupted(TurnError):
    """The connection was lost during the turn: its outcome is unknown (section 16).

    It is also raised if the server shows no sign of the input within ``accept_timeout`` (the input
    may still have arrived), if the client was closed in the meantime, and if a turn is awaited
    after it was detached.
    """

    code = "turn_interrupted"


class ApprovalRequired(TurnError):
    """The turn needs a permission that nobody here decides on (section 13).

    It was sent with ``approvals="raise"``, or with ``"pause"`` and ``check``.

    The turn goes on once you answer ``request``, with ``respond``.
    """

    code = "approval_required"
    _answer: Callable[[ApprovalRequest, Any], None] | None = None

    @property
    def request(self) -> ApprovalRequest | None:
        """The permission that is wanted; ``None`` only in an error that a program made itself."""
        frame = None if self.result is None else self.result.terminal_message
        return None if frame is None else ApprovalRequest(frame)

    def respond(self, decision: Decision | Mapping[str, Any]) -> None:
        """Answers the request, and the turn goes on. Nobody here follows it from then on.

        Sends ``input`` with an ``approval_response`` (section 13), and does not wait for anything.
        To learn of the turn's end, subscribe to ``turn_finished`` (``client.messages``).

        What the turn asks later goes to the client's handler (``on_approval_request``). Without one
        it waits until another input is queued behind it, and is then decided as that input's own
        would be. This request is left to you: inputs behind it wait, up to their ``idle_timeout``.

        Args:
            decision: ``allow(...)``, ``deny(...)``, or either of them in plain form.

        Raises:
            InvalidOption: This error was made, copied or pickled by a program, so it has no client
                to answer through. ``client.input`` does the same.
            ClientClosed: The client is gone; the error of an item of a batch does not keep it.
            InvalidCommand: ``decision`` is not a decision.
            Disconnected: There is no connection.
        """
        if self._answer is None or self.request is None:
            raise InvalidOption(
                "respond: this error was made or copied by a program, so it has no client",
                hint="answer with client.input",
            )
        self._answer(self.request, decision)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy answers nobody: it may outlive the client, or be in another process.
        return type(self), self.args, {**vars(self), "_answer": None}


class StructuredOutputError(TurnError):
    """The agent submitted no result that fits ``output_type``, although it was asked twice.

    Or a check of the type itself has failed, that is, has raised something else than a
    ``ValueError`` (of which pydantic's ``ValidationError`` is one) or an ``AssertionError``: then
    ``__cause__`` is what it has raised, and the agent was not asked again.

    Attributes:
        errors: What is wrong with the last result, each beginning with its field; empty if there
            was none, or nobody could judge it.
    """

    code = "structured_output"
    errors: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What the agent said instead."""
        return "" if self.result is None else self.result.text


class Lagged(LettaAppError):
    """A subscription ended because its reader did not keep up, with ``overflow="raise"``.

    Attributes:
        dropped_count: How many messages are missing.
    """

    code: ClassVar[str] = "lagged"
    dropped_count: int = 0


class ServerStartError(LettaAppError):
    """A server of your own did not start. The message ends with what it printed last.

    Attributes:
        command: The program and its arguments, as you gave them.
        exit_code: What it ended with. On Unix it is 127 if there is no such program, and 128 more
            than the number of the signal if one ended it, as 137 if it was killed. ``None`` if it
            ran until it was ended from here.
        output_tail: The last lines that it printed, the oldest first.
    """

    code: ClassVar[str] = "server_start"
    command: tuple[str, ...] = ()
    exit_code: int | None = None
    output_tail: tuple[str, ...] = ()


class WrongLoop(LettaAppError):
    """A client was used elsewhere than on the event loop it first ran on."""

    code = "wrong_loop"


class ForkedProcess(LettaAppError):
    """The client belongs to the parent process; make a new one after the fork."""

    code = "forked_process"


class InternalError(LettaAppError):
    """A defect of this package."""

    code = "internal"


def _classes(base: type[LettaAppError]) -> dict[str, type[LettaAppError]]:
    found = {base.code: base} if base.code else {}
    for child in base.__subclasses__():
        found |= _classes(child)
    return found


_BY_CODE = _classes(LettaAppError)


def from_json(text: str) -> LettaAppError:
    """Builds the exception of the engine's JSON form of an error."""
    raw = parse(text)
    error = _BY_CODE.get(raw["code"], InternalError)(raw["message"], hint=raw["hint"])
    error.retryable = raw.get("retryable", error.retryable)
    if isinstance(error, (Disconnected, TurnError)):
        error.close_code = raw["close_code"]
        error.will_reconnect = raw.get("will_reconnect", False)
    if isinstance(error, RequestError) and raw["response"] is not None:
        error.response = decode(raw["response"])
    if isinstance(error, TurnError) and raw["result"] is not None:
        error.result = TurnResult.from_raw(raw["result"])
    if isinstance(error, Lagged):
        error.dropped_count = raw.get("dropped_count") or 0
    if isinstance(error, ServerStartError):
        error.command = tuple(raw.get("command", ()))
        error.exit_code = raw.get("exit_code")
        error.output_tail = tuple(raw.get("output_tail", ()))
    if isinstance(error, StructuredOutputError):
        error.errors = tuple(raw.get("problems", ()))
    return error


def refusal(response: Message) -> RequestError:
    """Builds the error for an answer that refuses."""
    error = RequestError(_native.refusal(response.raw_text))
    error.response = response
    return error


_SHOWN = 200
"""How much of a value is worth reading."""


def incomplete(response: Message, name: str, expected: str) -> RequestError:
    """Builds the error for an answer that refuses nothing, but has not what was asked for."""
    what = response.type.removesuffix("_response") or "the request"
    given = json.dumps(response.raw[name])[:_SHOWN] if name in response else "nothing"
    error = RequestError(
        f"{what} was answered, but field `{name}`: expected {expected}, got {given}"
    )
    error.response = response
    return error
