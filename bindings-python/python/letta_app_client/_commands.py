"""The commands of the protocol as methods."""

from __future__ import annotations

import inspect
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal

from . import _native
from ._bridge import Bridge
from ._json import encode
from ._limits import LONGEST, Timeout, grace, limit, request_limit
from .errors import InvalidCommand, InvalidOption, refusal
from .messages import Message
from .results import TurnResult

__all__ = ["Commands"]


class Commands(ABC):
    """What a client can ask of its server."""

    def __init__(self, native: _native.Connection, bridge: Bridge) -> None:
        self._native = native
        self._bridge = bridge

    @abstractmethod
    def _sent(self, text: str) -> None:
        """Is told of every command that goes out."""

    async def runtime_start(self, *, timeout: Timeout = "default", **fields: Any) -> Message:
        """Starts or joins a conversation: ``runtime_start`` (protocol section 8).

        Args:
            timeout: Seconds to wait for the answer.
            **fields: Exactly one of ``agent_id`` and ``create_agent``; at most one of
                ``conversation_id`` and ``create_conversation``; ``mode``, which should always be
                given (``standard``, ``acceptEdits``, ``unrestricted``, ``strict``); ``cwd``,
                ``client_info``, ``external_tools`` and others.

        Returns:
            The response; ``response.runtime`` is what other methods take as ``runtime``.
            Cancelling drops the response; the server has started the runtime all the same.

        Raises:
            InvalidCommand: A field is missing or of the wrong type.
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """
        return await self.request(_command("runtime_start", fields), timeout=timeout)

    async def run_turn(
        self,
        *,
        runtime: Mapping[str, Any],
        payload: Mapping[str, Any],
        request_id: str | None = None,
        timeout: float | None = None,
        idle_timeout: float | None = 600,
        abort_grace: float | None = 2,
        accept_timeout: float | None = 30,
        approvals: Literal["return", "wait"] = "return",
    ) -> TurnResult:
        """Sends an input and follows its turn to the end (protocol section 17).

        Sends ``input``, after a short pause when a turn of this runtime has just ended (section
        18); messages without a ``client_message_id`` get one. Resolves when the turn is over,
        however it ended (see ``TurnResult.status``) and whoever else uses the conversation.
        Cancelling stops the turn on the server and does not wait for it.

        Args:
            runtime: Agent and conversation, as ``runtime_start`` returned them.
            payload: ``{"kind": "create_message", "messages": [...]}``.
            request_id: The id of the command; one is made by default.
            timeout: Seconds for the whole turn; ``None``, the default, for no limit.
            idle_timeout: Seconds without any sign of life of the runtime; the clock rests while a
                permission is asked or a tool runs. ``None`` for no limit.
            abort_grace: Seconds to wait for the end of a turn that was told to stop at a limit;
                may be 0.
            accept_timeout: Seconds until the server has shown any sign that it got the input.
                ``None`` for no limit.
            approvals: With ``return`` the call resolves with the stop reason ``requires_approval``
                when a permission is wanted, and the turn goes on once somebody answers. With
                ``wait`` somebody else answers, for example a message handler.

        Raises:
            InvalidOption: A limit or ``approvals`` is not usable.
            InvalidCommand: A field is missing or of the wrong type.
            MessageTooLarge: The input is larger than ``max_message_bytes``.
            RequestError: The server did not accept the input.
            TurnAborted: The input was removed from the queue before its turn started.
            TurnTimeout: ``timeout`` passed; the turn was told to stop.
            TurnIdleTimeout: ``idle_timeout`` passed; the turn was told to stop.
            RequestTimeout: ``accept_timeout`` passed without a sign of the input.
            TurnInterrupted: The connection was lost; the outcome is unknown.
        """
        total, idle = limit("timeout", timeout), limit("idle_timeout", idle_timeout)
        stopping = grace("abort_grace", abort_grace)
        accepting = limit("accept_timeout", accept_timeout) or LONGEST
        if approvals not in ("return", "wait"):
            raise InvalidOption(f'approvals: expected "return" or "wait", got {approvals!r}')
        command = _input(runtime, payload, request_id, {})

        def start(token: int) -> None:
            text = encode(command)
            limits = (total, idle, stopping, accepting, approvals)
            self._sent(self._native.run_turn(token, text, *limits))

        delivery = await self._bridge.call(start)
        return TurnResult.from_raw(json.loads(delivery[2]))

    def input(
        self,
        *,
        runtime: Mapping[str, Any],
        payload: Mapping[str, Any],
        request_id: str | None = None,
        **fields: Any,
    ) -> None:
        """Sends an ``input`` and waits for nothing (protocol sections 8.1 and 13).

        The payload is a message (``create_message``) or the answer to a permission request
        (``approval_response``). Without a ``request_id`` the server does not confirm it.

        Raises:
            InvalidCommand: A field is missing or of the wrong type.
            MessageTooLarge: The input is larger than ``max_message_bytes``.
            Disconnected: There is no connection.
        """
        self.send(_input(runtime, payload, request_id, fields))

    async def submit_input(
        self,
        *,
        runtime: Mapping[str, Any],
        payload: Mapping[str, Any],
        request_id: str | None = None,
        timeout: Timeout = "default",
        **fields: Any,
    ) -> Message:
        """Sends an ``input`` and waits until the server has accepted it (protocol section 8.1).

        Resolves with ``input_accepted``, which servers send from 0.30.3 on; the turn goes on
        without the caller. The answer to a permission request has no time limit by default,
        because it may be confirmed only after a whole turn (section 13). Cancelling drops the
        answer only.

        Raises:
            InvalidCommand: A field is missing or of the wrong type.
            RequestError: The server did not accept the input.
            RequestTimeout: No answer in time.
        """
        return await self.request(_input(runtime, payload, request_id, fields), timeout=timeout)

    async def sync(
        self, *, runtime: Mapping[str, Any], timeout: Timeout = "default", **fields: Any
    ) -> Message:
        """Asks for the state of a runtime and subscribes to it: ``sync`` (section 16).

        The state comes to the message handlers, before or after the response. Further fields:
        ``recover_approvals``, ``force_device_status``. Cancelling drops the response only.

        Raises:
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """
        command = {"runtime": runtime, **_command("sync", fields)}
        return await self.request(command, timeout=timeout)

    async def abort(
        self, *, runtime: Mapping[str, Any], timeout: Timeout = "default", **fields: Any
    ) -> Message:
        """Stops whatever runs in a conversation: ``abort_message`` (protocol section 15).

        Resolves with the response; ``response.aborted`` says whether there was something to stop.
        A ``run_turn`` of that turn then ends by itself. Cancelling drops the response only.

        Raises:
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """
        command = {"runtime": runtime, **_command("abort_message", fields)}
        return await self.request(command, timeout=timeout)

    async def info(self, *, timeout: Timeout = "default") -> Message:
        """Asks for the server's version and capabilities: ``app_server_info`` (section 3).

        Servers before 0.29.7 do not know the question and stay silent. Cancelling drops the
        response only.

        Raises:
            RequestTimeout: No answer in time.
        """
        return await self.request("app_server_info", timeout=timeout)

    async def conversation_list(self, *, timeout: Timeout = "default", **fields: Any) -> Message:
        """Lists conversations: ``conversation_list`` (protocol section 20.3).

        Cancelling drops the response only.

        Raises:
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """
        return await self.request(_command("conversation_list", fields), timeout=timeout)

    async def runtime_external_tools_update(
        self, *, timeout: Timeout = "default", **fields: Any
    ) -> Message:
        """Replaces the external tools of runtimes: ``runtime_external_tools_update`` (section 14).

        For servers from 0.30.8 on. Cancelling drops the response only.

        Raises:
            InvalidCommand: A field is missing or of the wrong type.
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """
        command = _command("runtime_external_tools_update", fields)
        return await self.request(command, timeout=timeout)

    async def request(
        self,
        type_or_command: str | Mapping[str, Any],
        /,
        *,
        timeout: Timeout = "default",
        predicate: Callable[[Message], bool] | None = None,
        **fields: Any,
    ) -> Message:
        """Sends any command and waits for its response.

        ``await client.request("list_models", force=True)`` is the same as
        ``await client.request({"type": "list_models", "force": True})``. The command is checked
        against the protocol, gets a ``request_id`` where it has none, and is matched with its
        response by id and type (protocol section 5). Cancelling drops the response only.

        Args:
            type_or_command: The type of the command, or the whole command.
            timeout: Seconds to wait for the answer.
            predicate: Says of each frame that carries the request's id whether it is the answer.
                Such an answer is returned even when it is a refusal.
            **fields: The fields of the command. Fields called ``timeout`` or ``predicate`` have to
                be given in a whole command.

        Raises:
            InvalidOption: ``timeout`` or ``predicate`` is not usable.
            InvalidCommand: A field is missing or of the wrong type, or the command has no response.
            MessageTooLarge: The command is larger than ``max_message_bytes``.
            RequestError: The server refused (``success: false``); the answer is in ``response``.
            RequestTimeout: No answer in time. A server that does not know a command stays silent.
        """
        command: Any = type_or_command
        if isinstance(command, str):
            command = _command(command, fields)
        elif fields and isinstance(command, Mapping):
            command = {**command, **fields}
        return await self._request(command, timeout, predicate, checked=True)

    async def request_raw(
        self,
        command: Mapping[str, Any],
        *,
        predicate: Callable[[Message], bool],
        timeout: Timeout = "default",
    ) -> Message:
        """Sends a command that this version need not know, and waits for the answer.

        Only that it is an object with a ``type`` is checked; it gets a ``request_id`` where it has
        none. Resolves with the first frame carrying that id of which ``predicate`` returns true.
        Cancelling drops the answer only.

        Raises:
            InvalidOption: ``timeout`` or ``predicate`` is not usable.
            InvalidCommand: The command is not a mapping or has no ``type``.
            MessageTooLarge: The command is larger than ``max_message_bytes``.
            RequestTimeout: No answer in time.
        """
        if predicate is None:
            raise _no_predicate(predicate)
        return await self._request(command, timeout, predicate, checked=False)

    def send(self, command: Mapping[str, Any]) -> None:
        """Sends a command and waits for nothing; it is checked against the protocol.

        Raises:
            InvalidCommand: A field is missing or of the wrong type.
            MessageTooLarge: The command is larger than ``max_message_bytes``.
            Disconnected: There is no connection.
        """
        self._bridge.check()
        self._sent(self._native.send(encode(command)))

    def send_raw(self, command: Mapping[str, Any]) -> None:
        """Sends any object with a ``type``, also commands that this version does not know.

        Raises:
            InvalidCommand: The command is not a mapping or has no ``type``.
            MessageTooLarge: The command is larger than ``max_message_bytes``.
            Disconnected: There is no connection.
        """
        self._bridge.check()
        self._sent(self._native.send_raw(encode(command)))

    async def _request(
        self,
        command: Any,
        timeout: Timeout,
        predicate: Callable[[Message], bool] | None,
        *,
        checked: bool,
    ) -> Message:
        manual = predicate is not None
        # What a coroutine function returns would always count as true.
        if manual and (not callable(predicate) or inspect.iscoroutinefunction(predicate)):
            raise _no_predicate(predicate)
        seconds = request_limit("timeout", timeout)

        def start(token: int) -> None:
            text = encode(command)
            self._sent(self._native.request(token, text, seconds, manual, checked))

        delivery = await self._bridge.call(start, predicate)
        response = Message(delivery[2])
        if delivery[0] == "response" and delivery[3]:
            raise refusal(response)
        return response


def _no_predicate(given: object) -> InvalidOption:
    return InvalidOption(f"predicate: expected a plain function, got {type(given).__name__}")


def _command(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    # Arguments of other methods, given by mistake; no command has fields of these names.
    for name in ("type", "timeout", "predicate"):
        if name in fields:
            raise InvalidCommand(
                f"`{kind}`: field `{name}`: is no field of this command",
                hint="a whole command, given to request, may have any field",
            )
    return {"type": kind, **fields}


def _input(
    runtime: Mapping[str, Any],
    payload: Mapping[str, Any],
    request_id: str | None,
    fields: dict[str, Any],
) -> dict[str, Any]:
    command = {"runtime": runtime, "payload": payload, **_command("input", fields)}
    if request_id is not None:
        command["request_id"] = request_id
    return command
