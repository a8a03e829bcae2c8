"""The client of one App Server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, get_args

from . import _native
from ._backlog import MAX_BYTES, MAX_ITEMS, Overflow
from ._call import Delivery
from ._checks import expect, expect_text
from ._commands import Commands
from ._connectionlog import ConnectionLog
from ._decode import decode, decode_as
from ._filters import Wanted
from ._handlers import Handlers, expect_plain
from ._link import Link
from ._loops import logger
from ._subscription import Subscription
from ._tools import ToolHandler, Tools
from .approvals import ApprovalHandler
from .errors import Disconnected, InvalidOption, LettaAppError, from_json
from .messages import Channel, Message

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .session import Opening, PermissionMode, TurnSettings
    from .tools import Tool

__all__ = ["AppServerClient", "Disconnect", "State", "Stats"]

State = Literal["new", "connecting", "open", "reconnecting", "disconnected", "closed"]


@dataclass(frozen=True)
class Disconnect:
    """How a connection ended.

    Attributes:
        channel: The socket that ended first; ``control`` on a one-socket server.
        code: The WebSocket close code, 1006 where there was no close frame.
        reason: What happened, in words.
        will_reconnect: Whether the client connects again by itself.
    """

    channel: Channel
    code: int
    reason: str
    will_reconnect: bool = False


@dataclass(frozen=True)
class Stats:
    """Counters since the client was made.

    Attributes:
        frames: Frames received that were JSON objects.
        bytes: Bytes of all frames received.
        malformed: Frames received that were not JSON objects.
        degraded: Frames with fields of unexpected types, which the engine left alone.
        reconnects: How often a lost connection was opened again.
        restored: Runtimes that were brought back after it.
        restore_failures: Commands for that which the server refused, or did not answer.
        unrecorded: Lines that a recording (``record``) lacks, because they came faster than they
            could be written, the disk is full, or ``redact`` failed; once the client is closed,
            with those that had to wait for longer than the close, until they are written.
        standby: How the second connection stands (see ``ConnectOptions``): ``off`` when there is
            none, ``opening``, or ``ready`` to take over.
        dropped: Frames that message handlers missed because the loop was busy for too long.
        handler_errors: How often a handler or a tool raised, or returned what is no answer.
    """

    frames: int
    bytes: int
    malformed: int
    degraded: int
    reconnects: int
    restored: int
    restore_failures: int
    unrecorded: int
    standby: Literal["off", "opening", "ready"]
    dropped: int
    handler_errors: int


class AppServerClient(Commands):
    """A client; ``create_app_server_client`` and ``connect`` make one.

    It runs on asyncio (uvloop too) and on trio, and belongs to the loop and to the process in which
    it is first used. It can be used with ``async with``, which connects and closes it.

    Every coroutine method raises, besides what it documents: ``ClientClosed`` after ``close``,
    ``Disconnected`` when there is no connection or it is lost meanwhile, ``WrongLoop`` on another
    event loop, ``ForkedProcess`` after a fork. Everything that is refused before it is sent is
    refused for good: nothing of it reaches the server.
    """

    def __init__(self, native: _native.Connection) -> None:
        """Use ``create_app_server_client``."""
        super().__init__(Link(native, self._delivered))
        self._tools = Tools(self._bridge)
        self._on_disconnect: Handlers[[Disconnect]] = Handlers("on_disconnect")
        self._on_state: Handlers[[State, LettaAppError | None]] = Handlers("on_state")
        self._on_lagged: Handlers[[int]] = Handlers("on_lagged")
        self._dropped = 0
        self._log = ConnectionLog()

    async def connect(self) -> AppServerClient:
        """Connects, or does nothing when the client is connected.

        Asks ``GET /app-server-info`` which generation the server is of (with ``transport="auto"``),
        then opens one WebSocket, or two on a server with split channels (protocol sections 1.1, 2
        and 4). Resolves when they are open, after ``connect_timeout`` seconds at most. A first
        connection is not tried again. While a lost one is being opened again, it waits for the
        attempt that runs, or starts one at once. Cancelling leaves the attempt to its own time
        limit; ``close`` ends it.

        Returns:
            The client itself.

        Raises:
            ConnectionFailed: Nobody listens, no answer in time, or the certificate is not trusted.
            AuthError: The server refused the token.
            ProtocolMismatch: The other side is no App Server.
        """
        try:
            await self._bridge.call(self._native.connect, lambda _: None)
        except Exception:
            self._bridge.release()
            raise
        return self

    async def close(self) -> None:
        """Closes the client for good.

        A turn that is under way raises ``TurnInterrupted`` then; one whose input was still held
        back (``settling``), and every request that waits, raises ``ClientClosed``.

        Sends a close frame on every socket and resolves when the server has answered it, after 2 s
        at most. May be called again, in every state. From another loop or after a fork it returns
        at once. Cancelling does not keep the client open.
        """
        await self._bridge.close()

    def close_nowait(self) -> None:
        """Closes the client without waiting for it; for other threads and for clean-up code."""
        self._bridge.close_nowait()

    async def __aenter__(self) -> AppServerClient:
        return await self.connect()

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def state(self) -> State:
        """``new``, ``connecting``, ``open``, ``reconnecting``, ``disconnected`` or ``closed``."""
        return self._native.state

    @property
    def server_info(self) -> Message | None:
        """The server's answer to ``GET /app-server-info`` (protocol section 3).

        ``None`` before connecting, with a ``transport`` other than ``auto``, and for servers that
        do not know the question.
        """
        self._bridge.check_process()
        text = self._native.info
        return None if text is None else decode(text)

    @property
    def stats(self) -> Stats:
        """Counters since the client was made."""
        self._bridge.check_process()
        link = self._link
        handlers = (link.on_message, link.on_send, self._on_disconnect, self._on_lagged)
        callers = (*handlers, self._on_state, self._tools, self._approvals)
        errors = sum(kind.errors for kind in callers)
        frames, size, malformed, degraded, reconnects, restored, failures, unrecorded = (
            self._native.counters()
        )
        return Stats(
            frames=frames,
            bytes=size,
            malformed=malformed,
            degraded=degraded,
            reconnects=reconnects,
            restored=restored,
            restore_failures=failures,
            unrecorded=unrecorded,
            standby=self._native.standby(),
            dropped=self._dropped,
            handler_errors=errors,
        )

    def next_request_id(self, prefix: str = "request") -> str:
        """Returns an id that no other request of this client has."""
        self._bridge.check_process()
        expect_text("prefix", prefix)
        return self._native.next_request_id(prefix)

    def session(
        self,
        *,
        agent_id: str | None = None,
        create_agent: Mapping[str, Any] | None = None,
        conversation_id: str | None = None,
        create_conversation: Mapping[str, Any] | None = None,
        mode: PermissionMode = "standard",
        cwd: str | os.PathLike[str] | None = None,
        tools: Iterable[Tool[..., Any] | Callable[..., Any]] = (),
        fields: Mapping[str, Any] | None = None,
        check: bool | None = None,
        **settings: Unpack[TurnSettings],
    ) -> Opening:
        """Starts or joins a conversation and leads it: ``runtime_start`` (protocol section 8).

        ``session = await client.session(agent_id="agent-123")``, or with ``async with``, which
        stops what still runs at the end. Cancelling leaves the conversation on the server.

        Args:
            agent_id: An agent that exists; or else
            create_agent: a new one, ``{"body": {...}}``.
            conversation_id: A conversation that exists; ``default`` is the agent's default one. By
                default a new one is made.
            create_conversation: The body of a new conversation, ``{"body": {...}}``.
            mode: What runs unasked. It is always sent: the server's own default runs everything.
            cwd: The directory on the server's machine; a relative one is taken from here. See
                ``Session.cwd_ignored``.
            tools: Functions that the agent may call in this conversation; see ``tool`` and
                ``ToolSet``. They are registered as long as the connection lasts and replace what
                was registered for the conversation (section 14). Those of a ``ToolSet`` with a
                ``scope_id`` are seen in this session's turns only, and not in what others ask in
                the conversation: its inputs name the scope, and are not merged with other inputs.
                They run with the context variables of the session's latest ``run`` or ``send``.
            fields: Further fields of ``runtime_start``, such as ``external_tools``.
            check: Whether turns that the agent did not end itself are raised, where a turn does not
                say it: by default those of ``Session.run`` are, and no others.
            **settings: Limits of the session's turns, and who is asked for permissions, as for
                ``run_turn``. Without ``approvals`` what wants one is denied, so that nothing hangs
                and nothing is accepted silently; only ``tools`` may be called.

        Raises:
            InvalidOption: ``cwd`` is no path, two tools have one name, ``check`` or a setting is
                not usable; raised at once, not when awaited.
            TypeError: A function cannot be a tool, or there is no such setting; raised at once as
                well.
            InvalidCommand: A field is missing or of the wrong type.
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """
        # Only those who lead conversations need it.
        from .session import Opening  # noqa: PLC0415

        given = {
            "agent_id": agent_id,
            "create_agent": create_agent,
            "conversation_id": conversation_id,
            "create_conversation": create_conversation,
        }
        start = {name: value for name, value in given.items() if value is not None}
        start |= {"mode": mode, **(fields or {})}
        return Opening(self, start, cwd, tools, settings, check=check)

    if not TYPE_CHECKING:  # its types are in ``Overloads``

        def on_message(
            self,
            handler: Callable[[Message, Channel], object],
            *,
            types: str | Iterable[str] | None = None,
            runtime: Mapping[str, Any] | None = None,
        ) -> Callable[[], None]:
            """Registers a function for frames that the server sends.

            It is called with the frame, an object of its class in ``protocol``, and its channel on
            the loop's thread, in the order of arrival, before the calls that the same burst of
            frames completes. It must not block. One that is registered right after a call has
            returned sees all that came after the call's answer.

            An exception is logged and counted (``stats.handler_errors``). ``SystemExit`` and
            ``KeyboardInterrupt`` end the run of asyncio, as from any callback; on trio, where a
            handler is in nobody's task, they are logged and counted like the rest. So it is with
            all handlers.

            Args:
                handler: The function.
                types: The types of the frames it wants (``"turn_finished"``, or several); ``None``
                    for all. Frames of other types are not parsed. Types that this version does not
                    know may be among them.
                runtime: Agent and conversation, as ``runtime_start`` returned them, for the frames
                    that carry them; ``None`` for all frames.

            Returns:
                A function that removes the handler.

            Raises:
                InvalidOption: ``types`` or ``runtime`` is not usable.
                TypeError: The handler is no function, or an ``async def``, which nobody would
                    await; so it is with all handlers.
            """
            self._bridge.check_process()
            self._bridge.attend()
            if types is None and runtime is None:
                return self._link.on_message.add(handler)
            expect_plain("on_message", handler)
            wanted = Wanted(types, runtime)

            def filtered(message: Message, channel: Channel) -> None:
                if wanted(message):
                    handler(message, channel)

            return self._link.on_message.add(filtered)

        def messages(
            self,
            *types: str,
            runtime: Mapping[str, Any] | None = None,
            limit: int = MAX_ITEMS,
            max_bytes: int = MAX_BYTES,
            overflow: Overflow = "drop_oldest",
        ) -> Subscription[Message]:
            """Returns frames that the server sends as an async iterator (``Subscription``).

            Sends nothing. It has all frames from this moment on, in the order of arrival, each an
            object of its class in ``protocol``; to be used with ``async with``, which ends it. The
            server sends frames of a runtime only to connections that started it or asked for it:
            to watch what another client drives, send ``sync`` first (section 16).

            Args:
                *types: The types of the frames; none for all. Frames of other types are not parsed.
                runtime: Agent and conversation, for the frames that carry them.
                limit: How many frames are kept for a reader who lags; 65,536 by default.
                max_bytes: How many bytes of frames are kept, 64 MiB by default; a single one may be
                    larger.
                overflow: What happens above a limit. ``drop_oldest``: the oldest go, which
                    ``Subscription.dropped`` counts, but never a ``turn_finished``, a
                    ``terminal_exited``, a ``control_request`` or an ``external_tool_call_request``.
                    ``raise``: the iteration ends with ``Lagged``, after the frames that had come.

            Raises:
                InvalidOption: ``types``, ``runtime``, a limit or ``overflow`` is not usable.
                ForkedProcess: The client was made before a fork.
            """
            self._bridge.check_process()
            for name, value in (("limit", limit), ("max_bytes", max_bytes)):
                expect(name, value, "a number", (int,))
                if value < 1:
                    raise InvalidOption(f"{name}: expected a number above 0, got {value}")
            if overflow not in get_args(Overflow):
                known = " or ".join(get_args(Overflow))
                raise InvalidOption(f"overflow: expected {known}, got {overflow!r}")
            wanted = Wanted(types or None, runtime)
            return Subscription(self._link, wanted, limit, max_bytes, overflow)

    def on_send(self, handler: Callable[[dict[str, Any]], object]) -> Callable[[], None]:
        """Registers a function for every command that is sent.

        It is called with the whole command, ids that were added included: within the call that
        sends, or on the loop's thread for what the client sends of its own accord (an abort at a
        time limit, the answer of a tool).

        Returns:
            A function that removes the handler.
        """
        self._bridge.check_process()
        self._bridge.attend()
        return self._link.on_send.add(handler)

    def on_disconnect(self, handler: Callable[[Disconnect], object]) -> Callable[[], None]:
        """Registers a function for the end of a connection that nobody here asked for.

        It is called on the loop's thread after the calls that were open have failed.

        Returns:
            A function that removes the handler.
        """
        self._bridge.check_process()
        self._bridge.attend()
        return self._on_disconnect.add(handler)

    def on_state(
        self, handler: Callable[[State, LettaAppError | None], object]
    ) -> Callable[[], None]:
        """Registers a function for changes of ``state``.

        It is called on the loop's thread, once for each change and in order with the messages, with
        the new state and an error: with ``reconnecting`` that of the loss, with ``disconnected``
        what ended a connection for good, such as a refused token. It is ``None`` otherwise, also
        when ``connect`` failed, which raises.

        Returns:
            A function that removes the handler.
        """
        self._bridge.check_process()
        self._bridge.attend()
        return self._on_state.add(handler)

    def on_lagged(self, handler: Callable[[int], object]) -> Callable[[], None]:
        """Registers a function for frames that were dropped, with their number.

        When the loop is busy for so long that more than 65,536 frames or 64 MiB wait for message
        handlers, the oldest are dropped. Never dropped are results of turns, answers to requests,
        and the frames that end a turn or a terminal, want a permission or call a tool.

        Returns:
            A function that removes the handler.
        """
        self._bridge.check_process()
        self._bridge.attend()
        return self._on_lagged.add(handler)

    def on_external_tool_call(
        self,
        handler: ToolHandler,
        *,
        runtime: Mapping[str, Any] | None = None,
        names: Iterable[str] | None = None,
    ) -> Callable[[], None]:
        """Registers the function that runs external tools (protocol section 14).

        It gets the ``external_tool_call_request`` (``tool_name``, ``input``, ``tool_call_id`` …)
        and returns the text of the result, or ``{"content": [{"type": "text", "text": …}],
        "is_error": …}``. An ``async def``, or an object whose ``__call__`` is one, runs on the
        loop, any other function in a thread of its own; what that returns is awaited on the loop
        where it can be. An exception becomes an answer with its message; the traceback goes to
        the log only. A tool that is cancelled or calls ``sys.exit`` is answered for as well, and
        ends nothing but itself.

        At most ``external_tool_concurrency`` calls run at once. When nobody wants an answer any
        more, because the turn was aborted, the connection has ended or ``external_tool_timeout``
        has passed, an ``async def`` is cancelled; a thread runs on, and what it returns is dropped.
        Every call has the context variables of now.

        A client has one such function for all: a second one replaces the first, and removing the
        first does nothing from then on. Those of the call's runtime go first, the latest before the
        others. Once there has been one for a runtime, a call that none is for is answered with an
        error.

        Args:
            handler: The function.
            runtime: Agent and conversation, as ``runtime_start`` returned them; ``None`` for all.
            names: The tools it is for; ``None`` for all.

        Returns:
            A function that removes the handler.

        Raises:
            InvalidOption: The runtime is none.
        """
        self._bridge.check_process()
        return self._tools.set(handler, runtime, names)

    def on_approval_request(
        self, handler: ApprovalHandler, *, runtime: Mapping[str, Any] | None = None
    ) -> Callable[[], None]:
        """Registers a function that decides on permission requests (protocol section 13).

        It is asked for what turns want that have no handler of their own and were not sent with
        ``approvals="deny"``, and for what any other input or an earlier connection has left open.
        It gets an ``ApprovalRequest`` and returns ``allow(...)``, ``deny(...)`` or a decision as it
        goes over the wire. It runs like a tool, with the context variables of now; requests of one
        runtime come one after the other.

        One that raises or returns something else denies; that is logged and counted. When no
        answer is wanted any more, an ``async def`` is cancelled. An answer that the server refuses,
        because somebody else was first, is logged.

        The handler of a runtime is asked rather than one for all, and the latest rather than an
        earlier one.

        Args:
            handler: The function.
            runtime: Agent and conversation, as ``runtime_start`` returned them; ``None`` for all.

        Returns:
            A function that removes the handler. What it was asked and has not answered is asked of
            others.

        Raises:
            InvalidOption: The runtime is none.
        """
        self._bridge.check_process()
        return self._approvals.add(handler, runtime)

    def _delivered(self, delivery: Delivery) -> None:
        kind = delivery[0]
        if kind == "message":
            if self._link.has_listeners:
                self._link.received(decode_as(delivery[4], delivery[3]), delivery[2])
        elif kind == "sent":
            self._link.sent(delivery[2])
        elif kind == "tool_call":
            self._tools.call(decode_as("external_tool_call_request", delivery[2]))
        elif kind == "tool_over":
            self._tools.over(*delivery[2:])
        elif kind == "approval":
            self._approvals.ask(*delivery[1:])
        elif kind == "approval_over":
            self._approvals.over(*delivery[2:])
        else:
            self._changed(delivery)

    def _changed(self, delivery: Delivery) -> None:
        """Takes what says something of the connection."""
        kind = delivery[0]
        if kind == "disconnected":
            self._disconnected(Disconnect(*delivery[2:]))
        elif kind == "state":
            self._state_changed(delivery[2], delivery[3])
        elif kind == "restore_failed":
            agent, conversation, error = delivery[2:]
            logger.warning("%s of %s is not as it was: %s", conversation, agent, from_json(error))
        elif kind == "closed":
            self._link.ended(None)
        elif kind == "lagged" and (self._link.has_listeners or self._link.on_send.entries):
            self._dropped += delivery[2]
            logger.warning("%d frames were dropped: the event loop was busy", delivery[2])
            self._link.lagged(delivery[2])
            self._on_lagged.emit(delivery[2])

    def _disconnected(self, how: Disconnect) -> None:
        def error() -> LettaAppError:
            lost = Disconnected(f"the connection was lost: {how.reason}")
            lost.close_code = how.code
            lost.will_reconnect = how.will_reconnect
            return lost

        self._log.lost(how)
        self._link.ended(error, for_good=not how.will_reconnect)
        self._on_disconnect.emit(how)

    def _state_changed(self, state: State, text: str | None) -> None:
        why = None if text is None else from_json(text)
        if state == "disconnected" and why is not None:
            message = f"the connection was lost and is not opened again: {why.args[0]}"
            self._link.ended(lambda: Disconnected(message))
        self._log.changed(state, why)
        self._on_state.emit(state, why)

    def __repr__(self) -> str:
        return f"<AppServerClient {self.state}>"
