"""The commands of the protocol as methods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

# Finds what is imported later, also for those who read type hints while a program runs.
import letta_app_client as letta

from ._approvals import Approvals, chosen
from ._call import Delivery
from ._checks import expect, expect_texts
from ._conveniences import HasConveniences
from ._flight import Flight
from ._limits import Resend, Timeout, turn_limits
from ._link import Check, Link, no_predicate
from ._loops import Loop
from ._overloads import Overloads
from ._unclosed import Unclosed
from ._uncopied import Uncopied
from ._unpack import Unpack
from .approvals import ApprovalHandler, ApprovalMode, ApprovalRequest
from .decisions import Decision
from .errors import ApprovalRequired, InvalidCommand
from .messages import Message
from .results import Arrival, TurnResult

__all__ = ["Commands"]


class Commands(Uncopied, Unclosed, HasConveniences, Overloads):
    """What a client can ask of its server."""

    _instead = "pickle its ConnectOptions, and connect with them where it is needed"

    def __init__(self, link: Link) -> None:
        self._link = link
        self._native = link.native
        self._bridge = link.bridge
        self._approvals = Approvals(link.bridge)

    async def runtime_start(
        self, *, timeout: Timeout = "default", **fields: Unpack[letta._fields.RuntimeStartRest]
    ) -> letta.protocol.RuntimeStartResponseMessage:
        """Starts or joins a conversation: ``runtime_start`` (protocol section 8).

        Args:
            timeout: Seconds to wait for the answer.
            **fields: Exactly one of ``agent_id`` and ``create_agent``; at most one of
                ``conversation_id`` and ``create_conversation``; ``mode``, which you should always
                set (``standard``, ``acceptEdits``, ``unrestricted``, ``strict``); ``cwd``,
                ``client_info``, ``external_tools`` and others. A misspelt name is refused; a field
                that this version does not know is sent as it is.

        Returns:
            The response; ``response.runtime`` is what other methods take as ``runtime``.
            Cancelling drops the response; the server has started the runtime all the same.

        Raises:
            InvalidCommand: A field is missing, of the wrong type or misspelt.
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """
        response: letta.protocol.RuntimeStartResponseMessage = await self._link.request(
            _command("runtime_start", fields), timeout, check="documented"
        )
        return response

    async def run_turn(
        self,
        *,
        runtime: Mapping[str, Any],
        payload: letta.protocol.InputCreateMessagePayload | letta.Fields,
        request_id: str | None = None,
        timeout: float | None = None,
        idle_timeout: float | None = 600,
        tool_timeout: float | None = 3600,
        approval_timeout: float | None = None,
        abort_grace: float | None = 2,
        accept_timeout: float | None = 30,
        recover_timeout: float | None = 30,
        resend: Resend = "never",
        approvals: ApprovalMode | ApprovalHandler = "pause",
        allow: Iterable[str] = (),
        check: bool = False,
    ) -> TurnResult:
        """Sends an input and follows its turn to the end (protocol section 17).

        Sends ``input``, after a short pause if a turn of this runtime has just ended (section 18).
        Messages without a ``client_message_id`` get one. Resolves when the turn is over, however it
        ended (see ``TurnResult.status``) and whoever else uses the conversation. Cancelling stops
        the turn on the server and does not wait for it.

        Args:
            runtime: Agent and conversation, as ``runtime_start`` returned them.
            payload: ``{"kind": "create_message", "messages": [...]}``.
            request_id: The id of the command; one is made by default.
            timeout: Seconds for the whole turn; ``None``, the default, for no limit.
            idle_timeout: Seconds that the runtime may show no sign of life while the model is at
                work; 600 by default. ``None`` for no limit.
            tool_timeout: The same while a tool runs; 3600 by default.
            approval_timeout: Seconds that a permission may stay undecided. There is no limit by
                default, because a person may have to decide.
            abort_grace: Seconds to wait for the end of a turn that was told to stop at a limit; 2
                by default. It may be 0.
            accept_timeout: Seconds in which the server has to show any sign that it got the input;
                30 by default. ``None`` for no limit. When the time has passed, the input may still
                have arrived.
            recover_timeout: Seconds that a turn whose connection was lost waits for the next
                connection and for what the server has stored of the turn; 30 by default, 0 to not
                wait at all. A turn that goes on there, because somebody else watches it, is
                followed to its end.
            resend: What to do with an input that was lost with its connection. ``"if_uncommitted"``
                sends it again once the stored conversation, read on the next connection, proves
                that it had not arrived (section 16). ``"never"``, the default, raises.
            approvals: What to do when the turn needs a permission (section 13). A function is asked
                about each one, one after the other: it gets an ``ApprovalRequest`` and returns
                ``allow(...)`` or ``deny(...)``. It runs like a tool (``on_external_tool_call``); if
                it raises, that denies, with the exception's message as the reason. ``deny`` denies
                with a standard reason. The other words ask the client's handlers
                (``on_approval_request``) first. If there is no such handler, ``pause``, the
                default, resolves with the stop reason ``requires_approval``, and ``raise`` raises
                ``ApprovalRequired``; in both cases the turn goes on once somebody answers, and
                until then the conversation's next inputs wait behind the question. ``wait`` waits
                until somebody does, for example a message handler. ``ask_or_deny``, the default in
                a session, denies.
            allow: The names of tools that may run without asking, whatever ``approvals`` says.
            check: Whether a turn that did not end normally raises ``TurnFailed``, ``TurnAborted``
                or ``ApprovalRequired``, with its result. By default its result is returned like any
                other.

        Raises:
            InvalidOption: A limit, ``approvals`` or ``allow`` is not usable.
            InvalidCommand: A field is missing, of the wrong type or misspelt.
            MessageTooLarge: The input is larger than ``max_message_bytes``.
            TooManyRequests: More than ``max_pending_requests`` are waiting; nothing was sent.
            RequestError: The server did not accept the input.
            TurnAborted: The input was removed from the queue before its turn started.
            TurnTimeout: ``timeout`` passed; the turn was told to stop.
            TurnIdleTimeout: ``idle_timeout``, ``tool_timeout`` or ``approval_timeout`` passed; the
                turn was told to stop.
            ApprovalRequired: The turn needs a permission, with ``approvals="raise"``, or with
                ``"pause"`` and ``check``.
            TurnInterrupted: The connection was lost, and with it the turn's end; or
                ``accept_timeout`` passed without a sign of the input. What is known of the turn is
                in ``result``; ``result.delivery`` says whether the input arrived.
        """
        expect("check", check, "True or False", (bool,))
        limits = turn_limits(
            timeout=timeout,
            idle_timeout=idle_timeout,
            tool_timeout=tool_timeout,
            approval_timeout=approval_timeout,
            abort_grace=abort_grace,
            accept_timeout=accept_timeout,
            recover_timeout=recover_timeout,
            resend=resend,
        )
        mode, handler = chosen(approvals)
        allowed = expect_texts("allow", allow)
        command = _input(runtime, payload, request_id, {})
        mine = 0

        def start(token: int) -> None:
            nonlocal mine
            held, told = self._bridge.hold(), bool(self._link.on_send.entries)
            rest = (mode, False, check, allowed, held, told)
            sent = self._native.run_turn(token, command, *limits, *rest)
            mine = token
            self._approvals.take(token, handler)
            self._link.sent(sent)

        try:
            return await self._bridge.call(start, _result)
        except ApprovalRequired as error:
            error._answer = self._decide  # noqa: SLF001 - of this package
            raise
        finally:
            self._approvals.forget(mine)

    def _decide(self, request: ApprovalRequest, decision: Decision | Mapping[str, Any]) -> None:
        """See ``ApprovalRequired.respond``."""
        body = decision.to_dict() if isinstance(decision, Decision) else decision
        of_request = {"kind": "approval_response", "request_id": request.request_id}
        answer: Any = {**of_request, "decision": body}
        self.input(runtime=request.runtime, payload=answer)

    def send_turn(
        self,
        *,
        runtime: Mapping[str, Any],
        payload: letta.protocol.InputCreateMessagePayload | letta.Fields,
        request_id: str | None = None,
        timeout: float | None = None,
        idle_timeout: float | None = 600,
        tool_timeout: float | None = 3600,
        approval_timeout: float | None = None,
        abort_grace: float | None = 2,
        accept_timeout: float | None = 30,
        recover_timeout: float | None = 30,
        resend: Resend = "never",
        approvals: ApprovalMode | ApprovalHandler = "pause",
        allow: Iterable[str] = (),
        check: bool = False,
    ) -> letta.Turn:
        """Sends an input and returns the handle of its turn at once (protocol section 17).

        Works like ``run_turn``, but the caller can also follow what happens, stop the turn, or
        leave it alone: see ``Turn``. Sends ``input`` now, or after the pause of section 18. Call it
        on the client's event loop.

        Args:
            runtime: As for ``run_turn``, like all other arguments.
            payload: ``{"kind": "create_message", "messages": [...]}``.
            request_id: The id of the command.
            timeout: Seconds for the whole turn.
            idle_timeout: Seconds of silence while the model is at work.
            tool_timeout: Seconds of silence while a tool runs.
            approval_timeout: Seconds that a permission may stay undecided.
            abort_grace: Seconds to wait for the end of a turn that was told to stop, by a limit or
                by its handle.
            accept_timeout: Seconds in which the server has to show any sign of the input.
            recover_timeout: Seconds to find out what became of the turn after a lost connection.
            resend: Whether an input that was lost with its connection is sent again.
            approvals: What to do when the turn needs a permission.
            allow: The names of tools that may run without asking.
            check: Whether a turn that did not end normally raises when it is awaited. A turn that
                was stopped through its handle, its stream or ``Session.close`` does not raise; one
                that had ended before raises as ever.

        Raises:
            InvalidOption: A limit, ``approvals`` or ``allow`` is not usable.
            InvalidCommand: A field is missing, of the wrong type or misspelt.
            MessageTooLarge: The input is larger than ``max_message_bytes``.
            TooManyRequests: More than ``max_pending_requests`` are waiting.
            Disconnected: There is no connection.
            ClientClosed: The client was closed.
            WrongLoop: Not called on the client's event loop: another one is running here, or none
                is, because the loop runs in another thread or has ended, or because the client has
                not been used on one yet.
            ForkedProcess: The client was made before a fork.

            All other errors of ``run_turn`` are raised when the turn is awaited.
        """
        expect("check", check, "True or False", (bool,))
        limits = turn_limits(
            timeout=timeout,
            idle_timeout=idle_timeout,
            tool_timeout=tool_timeout,
            approval_timeout=approval_timeout,
            abort_grace=abort_grace,
            accept_timeout=accept_timeout,
            recover_timeout=recover_timeout,
            resend=resend,
        )
        mode, handler = chosen(approvals)
        allowed = expect_texts("allow", allow)
        command = _input(runtime, payload, request_id, {})

        def start(token: int) -> None:
            rest = (mode, True, check, allowed, False, bool(self._link.on_send.entries))
            sent = self._native.run_turn(token, command, *limits, *rest)
            self._approvals.take(token, handler)
            try:
                self._link.sent(sent)
            except BaseException:
                # An interrupt: there will be no handle, and nobody who follows the turn.
                self._approvals.forget(token)
                self._native.leave_turn(token)
                raise

        def make(loop: Loop, token: int) -> Flight:
            return Flight(self._bridge, loop, token, self._approvals.forget, self._decide)

        # The module with the events, which only those who follow a turn need.
        from .turn import Turn  # noqa: PLC0415

        return Turn(self._bridge.begin(start, make), runtime, payload)

    def input(
        self,
        *,
        runtime: Mapping[str, Any],
        payload: letta.protocol.InputCreateMessagePayload
        | letta.protocol.InputApprovalResponsePayload
        | letta.protocol.InputTeleportContinuePayload
        | letta.Fields,
        request_id: str | None = None,
        **fields: Unpack[letta._fields.InputRest],
    ) -> None:
        """Sends an ``input`` and waits for nothing (protocol sections 8.1 and 13).

        The payload is a message (``create_message``) or the answer to a permission request
        (``approval_response``). Without a ``request_id`` the server does not confirm it.

        Raises:
            InvalidCommand: A field is missing, of the wrong type or misspelt.
            MessageTooLarge: The input is larger than ``max_message_bytes``.
            Disconnected: There is no connection.
        """
        self._link.send(_input(runtime, payload, request_id, fields), "documented")

    async def submit_input(
        self,
        *,
        runtime: Mapping[str, Any],
        payload: letta.protocol.InputCreateMessagePayload
        | letta.protocol.InputApprovalResponsePayload
        | letta.protocol.InputTeleportContinuePayload
        | letta.Fields,
        request_id: str | None = None,
        timeout: Timeout = "default",
        **fields: Unpack[letta._fields.InputRest],
    ) -> letta.protocol.InputAcceptedResponseMessage:
        """Sends an ``input`` and waits until the server has accepted it (protocol section 8.1).

        Resolves with ``input_accepted``, which servers send from 0.30.3 on; the turn goes on
        without the caller. The answer to a permission request has no time limit by default,
        because it may be confirmed only after a whole turn (section 13). Cancelling drops the
        answer only, but an input that still waits to be sent (``settle_pause``, or the word on
        the one before it) is not sent then, nor after its ``timeout``.

        Raises:
            InvalidCommand: A field is missing, of the wrong type or misspelt.
            RequestError: The server did not accept the input.
            RequestTimeout: No answer in time.
        """
        response: letta.protocol.InputAcceptedResponseMessage = await self._link.request(
            _input(runtime, payload, request_id, fields), timeout, check="documented"
        )
        return response

    async def sync(
        self,
        *,
        runtime: Mapping[str, Any],
        timeout: Timeout = "default",
        **fields: Unpack[letta._fields.SyncRest],
    ) -> letta.protocol.SyncResponseMessage:
        """Asks for the state of a runtime and subscribes to it: ``sync`` (section 16).

        The state comes to the message handlers, before or after the response. Further fields:
        ``recover_approvals``, ``force_device_status``. Cancelling drops the response only.

        Raises:
            InvalidCommand: A field is missing, of the wrong type or misspelt.
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """
        command = {"runtime": runtime, **_command("sync", fields)}
        response: letta.protocol.SyncResponseMessage = await self._link.request(
            command, timeout, check="documented"
        )
        return response

    async def abort(
        self,
        *,
        runtime: Mapping[str, Any],
        timeout: Timeout = "default",
        **fields: Unpack[letta._fields.AbortMessageRest],
    ) -> letta.protocol.AbortMessageResponseMessage:
        """Stops whatever runs in a conversation: ``abort_message`` (protocol section 15).

        Resolves with the response; ``response.aborted`` says whether there was something to stop.
        A ``run_turn`` of that turn then ends by itself. Cancelling drops the response only.

        Raises:
            InvalidCommand: A field is missing, of the wrong type or misspelt.
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """
        command = {"runtime": runtime, **_command("abort_message", fields)}
        response: letta.protocol.AbortMessageResponseMessage = await self._link.request(
            command, timeout, check="documented"
        )
        return response

    async def info(
        self, *, timeout: Timeout = "default"
    ) -> letta.protocol.AppServerInfoResponseMessage:
        """Asks for the server's version and capabilities: ``app_server_info`` (section 3).

        Servers before 0.29.7 do not know the question and stay silent. Cancelling drops the
        response only.

        Raises:
            RequestTimeout: No answer in time.
        """
        response: letta.protocol.AppServerInfoResponseMessage = await self._link.request(
            {"type": "app_server_info"}, timeout
        )
        return response

    async def conversation_list(
        self, *, timeout: Timeout = "default", **fields: Unpack[letta._fields.ConversationListRest]
    ) -> letta.protocol.ConversationListResponseMessage:
        """Lists conversations: ``conversation_list`` (protocol section 20.3).

        Cancelling drops the response only.

        Raises:
            InvalidCommand: A field is missing, of the wrong type or misspelt.
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """
        response: letta.protocol.ConversationListResponseMessage = await self._link.request(
            _command("conversation_list", fields), timeout, check="documented"
        )
        return response

    async def runtime_external_tools_update(
        self,
        *,
        timeout: Timeout = "default",
        **fields: Unpack[letta._fields.RuntimeExternalToolsUpdateRest],
    ) -> letta.protocol.RuntimeExternalToolsUpdateResponseMessage:
        """Replaces the external tools of runtimes: ``runtime_external_tools_update`` (section 14).

        For servers from 0.30.8 on. Cancelling drops the response only.

        Raises:
            InvalidCommand: A field is missing, of the wrong type or misspelt.
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """
        response: letta.protocol.RuntimeExternalToolsUpdateResponseMessage = (
            await self._link.request(
                _command("runtime_external_tools_update", fields), timeout, check="documented"
            )
        )
        return response

    if not TYPE_CHECKING:  # its types are in ``Overloads``

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
                predicate: Says of each frame that carries the request's id whether it is the
                    answer. Such an answer is returned even when it is a refusal.
                **fields: The fields of the command. A name that is a slip away from a known one is
                    refused; a field that this version does not know is sent as it is. A whole
                    command may have any field, also one called ``timeout`` or ``predicate``.

            Raises:
                InvalidOption: ``timeout`` or ``predicate`` is not usable.
                InvalidCommand: A field is missing, of the wrong type or misspelt, or the command
                    has no response.
                UnsupportedByServer: The server is too old for the command.
                MessageTooLarge: The command is larger than ``max_message_bytes``.
                RequestError: The server refused (``success: false``); its answer is in
                    ``response``.
                RequestTimeout: No answer in time. A server that does not know a command stays
                    silent.
            """
            command: Any = type_or_command
            # A name that was written here may be a slip; a whole command may be anybody's.
            check: Check = "documented" if isinstance(command, str) else "catalog"
            if isinstance(command, str):
                command = _command(command, fields)
            elif fields and isinstance(command, Mapping):
                command = {**command, **fields}
            return await self._link.request(command, timeout, predicate, check=check)

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
            raise no_predicate(predicate)
        response: Message = await self._link.request(command, timeout, predicate, check="shape")
        return response

    def send(self, command: Mapping[str, Any]) -> None:
        """Sends a command and waits for nothing; it is checked against the protocol.

        As a whole command it may have any field.

        Raises:
            InvalidCommand: A field is missing or of the wrong type.
            MessageTooLarge: The command is larger than ``max_message_bytes``.
            Disconnected: There is no connection.
        """
        self._link.send(command)

    def send_raw(self, command: Mapping[str, Any]) -> None:
        """Sends any object with a ``type``, also commands that this version does not know.

        Raises:
            InvalidCommand: The command is not a mapping or has no ``type``.
            MessageTooLarge: The command is larger than ``max_message_bytes``.
            Disconnected: There is no connection.
        """
        self._link.send(command, "shape")


_NO_FIELDS = frozenset({"type", "timeout", "predicate"})


def _command(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    # Arguments of other methods, given by mistake; no command has fields of these names.
    if not _NO_FIELDS.isdisjoint(fields):
        name = next(iter(_NO_FIELDS.intersection(fields)))
        raise InvalidCommand(
            f"`{kind}`: field `{name}`: is no field of this command",
            hint="a whole command, given to request, may have any field",
        )
    return {"type": kind, **fields}


def _result(delivery: Delivery) -> TurnResult:
    return TurnResult._arrived(Arrival(delivery[2]))  # noqa: SLF001 - of this package


def _input(
    runtime: Mapping[str, Any],
    payload: Mapping[str, Any],
    request_id: str | None,
    fields: Mapping[str, Any],
) -> dict[str, Any]:
    command = {"runtime": runtime, "payload": payload, **_command("input", fields)}
    if request_id is not None:
        command["request_id"] = request_id
    return command
