"""The client of one App Server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

# Finds what is imported later, also for those who read type hints while a program runs.
import letta_app_client as letta

from . import _native
from ._backlog import MAX_BYTES, MAX_ITEMS, Overflow
from ._call import Delivery
from ._checks import expect, expect_text
from ._commands import Commands
from ._connectionlog import ConnectionLog
from ._decode import decode, decode_as
from ._filters import Wanted
from ._handlers import Handlers
from ._link import Link
from ._loops import logger
from ._subscription import Subscription
from ._tools import ToolHandler, Tools
from ._unpack import Unpack
from .approvals import ApprovalHandler
from .errors import Disconnected, InvalidOption, LettaAppError, from_json
from .messages import Channel, Message

__all__ = ["AppServerClient", "Disconnect", "State", "Stats"]

State = Literal["new", "connecting", "open", "reconnecting", "disconnected", "closed"]
"""How the connection of a client stands."""


@dataclass(frozen=True)
class Disconnect:
    """How a connection ended.

    Attributes:
        channel: The socket that ended first; ``control`` on a one-socket server.
        code: The WebSocket close code, 1006 where there was no close frame.
        reason: What happened, in words.
        will_reconnect: Whether the client reconnects by itself.
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
        degraded: Frames with fields of unexpected types, which the engine ignored.
        reconnects: How often a lost connection was opened again.
        restored: Runtimes that were restored after that.
        restore_failures: Commands for restoring them that the server refused or did not answer.
        unrecorded: Lines missing from a recording (``record``) because they came faster than they
            could be written, the disk is full, ``redact`` failed, or a frame was not JSON, so that
            nothing could be removed from it. Once the client is closed, this also counts the lines
            that could not be written before the close ended, until they are written.
        unsent: Commands that nobody waited for (``input``, ``send``, the inputs of turns that were
            detached) and that never left: because the client was closed, or gave up connecting
            again, while they waited; or because the connection was lost before they were written,
            and they meant nothing on another one (an abort, the answer to a permission request, and
            all that has no runtime). What else had not been written then leaves on the next
            connection. What was written into a connection that proves to be lost is not counted: it
            may have arrived.
        standby: The state of the second connection (see ``ConnectOptions``): ``off`` if there is
            none, ``opening``, or ``ready`` to take over.
        dropped: Frames that message handlers missed because the loop was busy for too long.
        handler_errors: How often a handler or a tool raised, or returned something that is not an
            answer.
    """

    frames: int
    bytes: int
    malformed: int
    degraded: int
    reconnects: int
    restored: int
    restore_failures: int
    unrecorded: int
    unsent: int
    standby: Literal["off", "opening", "ready"]
    dropped: int
    handler_errors: int


class AppServerClient(Commands):
    """A client; ``create_app_server_client`` and ``connect`` make one.

    It runs on asyncio (uvloop too) and on trio, and belongs to the loop and the process in which it
    is first used. It can be used with ``async with``, which connects and closes it.

    Besides the errors it documents, every coroutine method raises ``ClientClosed`` after ``close``,
    ``Disconnected`` when there is no connection or it is lost in the meantime, ``TooManyRequests``
    when more than ``max_pending_requests`` are waiting, ``WrongLoop`` on another event loop, and
    ``ForkedProcess`` after a fork. A command that is refused before it is sent is not kept for
    later: nothing of it reaches the server.

    What only sends, and waits for nothing (``input``, ``send``, ``Terminal.write`` …), may also be
    called in threads that run no event loop. What is to be waited for is refused there with
    ``WrongLoop``, also ``send_turn`` and ``Session.send``.
    """

    def __init__(self, native: _native.Connection) -> None:
        """Use ``create_app_server_client``."""
        super().__init__(Link(native, self._delivered))
        self._tools = Tools(self._bridge)
        self._on_disconnect: Handlers[[Disconnect]] = Handlers("on_disconnect", "how it ended")
        self._on_state: Handlers[[State, LettaAppError | None]]
        self._on_state = Handlers("on_state", "the state", "the error")
        self._on_lagged: Handlers[[int]] = Handlers("on_lagged", "the number of frames")
        self._dropped = 0
        self._log = ConnectionLog()

    async def connect(self) -> AppServerClient:
        """Connects, or does nothing if the client is connected already.

        Asks ``GET /app-server-info`` which generation the server belongs to (with
        ``transport="auto"``), then opens one WebSocket, or two on a server with split channels
        (protocol sections 1.1, 2 and 4). Resolves when they are open, after ``connect_timeout``
        seconds at most. A first connection that fails is not retried, and neither is one after the
        client has given up. While the client is reconnecting, this waits until the connection is
        open, the client gives up, or ``connect_timeout`` has passed. Then it raises what the last
        attempt failed with, and the client goes on. While somebody waits, an attempt begins at
        once, or a second after the last one; these are additional ones and do not count as
        ``max_attempts``. Cancelling leaves the attempt to its own time limit;
        ``close`` ends it.

        Returns:
            The client itself.

        Raises:
            ConnectionFailed: Nobody listens, no answer in time, the certificate is not trusted, or
                what answers is no App Server.
            AuthError: The server refused the token.
            ProtocolMismatch: With ``transport="split"``, a server that has one socket.
        """
        try:
            await self._bridge.call(self._connecting, lambda _: None)
        except Exception:
            self._bridge.release()
            raise
        return self

    async def close(self) -> None:
        """Closes the client for good.

        A turn that is under way then raises ``TurnInterrupted``. A turn whose input is still held
        back (``settling``), and every request that waits, raises ``ClientClosed``.

        On the server, a turn that was given up just before is stopped. The server cancels the
        others when the connection ends, unless another client follows their conversation.
        ``Session.close`` stops those of the session.

        Sends a close frame on every socket and resolves when the server has answered it, after 2 s
        at most. It can be called again, in any state. From another loop or after a fork it returns
        at once. Cancelling does not keep the client open.

        What nobody waits for (``input``, ``send``, detached turns) and is held back for something
        else than the pause after a turn is not sent any more. The log says how many commands were
        not sent at all (``stats.unsent``).
        """
        await self._bridge.close()

    def close_nowait(self) -> None:
        """Closes the client without waiting for it; for other threads and for clean-up code."""
        self._bridge.close_nowait()

    async def __aenter__(self) -> AppServerClient:
        return await self.connect()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def state(self) -> State:
        """``new``, ``connecting``, ``open``, ``reconnecting``, ``disconnected`` or ``closed``."""
        self._bridge.check_process()
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
        frames, size, malformed, degraded, reconnects, restored, failures, unrecorded, unsent = (
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
            unsent=unsent,
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
        mode: letta.PermissionMode | None = None,
        cwd: str | os.PathLike[str] | None = None,
        tools: Iterable[letta.Tool[..., Any] | Callable[..., Any]] | None = None,
        fields: Mapping[str, Any] | None = None,
        check: bool | None = None,
        **settings: Unpack[letta.TurnSettings],
    ) -> letta.Opening:
        """Starts or joins a conversation, and returns its session: ``runtime_start`` (section 8).

        ``session = await client.session(agent_id="agent-123")``, or with ``async with``, which
        stops what is still running at the end of the block. Cancelling leaves the conversation on
        the server. A further session of one conversation leaves mode and tools as they are where it
        does not name them.

        Args:
            agent_id: An existing agent; give this or ``create_agent``.
            create_agent: A new agent, ``{"body": {...}}``.
            conversation_id: An existing conversation; ``default`` is the agent's default one.
                Without it a new conversation is made.
            create_conversation: The body of a new conversation, ``{"body": {...}}``.
            mode: Which tools run without asking. By default what another session of this client
                has set, else ``"standard"``: the server's own default runs everything.
            cwd: The directory on the server's machine; a relative path is resolved against the
                current directory of this process. See ``Session.cwd_ignored``.
            tools: Functions that the agent may call in this conversation; see ``tool`` and
                ``ToolSet``. They come to those of other sessions of this client, of which they
                replace what has the same name, until the session is closed, or nobody has it (those
                of the last one stay registered, unanswered, until the connection ends). Tools of a
                ``ToolSet`` with a ``scope_id`` are visible only in this session's turns, not in
                turns that others send in the conversation: the session's inputs name the scope, and
                are not merged with others. Tools run with the context variables of the session's
                latest ``run`` or ``send``: have one for each person whose variables they need.
            fields: Further fields of ``runtime_start``, such as ``external_tools``.
            check: Whether turns that did not end normally raise, for turns that do not say so
                themselves. By default those of ``Session.run`` do, and no others.
            **settings: Limits of the session's turns, and who decides on permissions, as for
                ``run_turn``. Without ``approvals`` it is ``"ask_or_deny"``: the client's handlers
                are asked (``on_approval_request``), and where there are none, whatever needs a
                permission is denied, so that nothing hangs and nothing is accepted silently. The
                functions in ``tools`` may be called without asking.

        Raises:
            InvalidOption: ``cwd`` is not a path, ``fields`` is not a mapping, two tools have the
                same name, or ``check`` or a setting has an unusable value; raised at once, not when
                awaited.
            TypeError: A function cannot be a tool, or there is no such setting; raised at once as
                well.
            InvalidCommand: A field is missing, misspelt or of the wrong type.
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """
        # Only those who lead conversations need it.
        from .session import Opening  # noqa: PLC0415

        if fields is not None:
            expect("fields", fields, "a mapping", (Mapping,))
        given = {
            "agent_id": agent_id,
            "create_agent": create_agent,
            "conversation_id": conversation_id,
            "create_conversation": create_conversation,
            "mode": mode,
        }
        start = {name: value for name, value in given.items() if value is not None}
        return Opening(self, start | dict(fields or {}), cwd, tools, settings, check=check)

    if not TYPE_CHECKING:  # its types are in ``Overloads``

        def on_message(
            self,
            handler: Callable[[Message, Channel], object],
            *,
            types: str | Iterable[str] | None = None,
            runtime: Mapping[str, Any] | None = None,
        ) -> Callable[[], None]:
            """Registers a function for frames that the server sends.

            The function is called with the frame, an object of its class in ``protocol``, and its
            channel, on the loop's thread and in the order of arrival, before the calls that the
            same burst of frames completes. It must not block. A handler that is registered right
            after a call has returned sees everything that came after the call's answer.

            An exception is logged and counted (``stats.handler_errors``). ``SystemExit`` and
            ``KeyboardInterrupt`` end the asyncio run, as from any callback; on trio, where a
            handler belongs to no task, they are logged and counted like any other exception. The
            same is true of all handlers.

            Args:
                handler: The function.
                types: The types of the frames it wants (``"turn_finished"``, or several); ``None``
                    for all. Frames of other types are not parsed. You can name types that this
                    version does not know.
                runtime: Agent and conversation, as ``runtime_start`` returned them; only frames
                    that carry them are passed on. ``None`` for all frames.

            Returns:
                A function that removes the handler.

            Raises:
                InvalidOption: ``types`` or ``runtime`` has an unusable value.
                TypeError: The handler is not a function that can be called with these two, or it is
                    an ``async def``, which nobody would await. The same is true of all handlers.
            """
            self._bridge.check_process()
            self._bridge.attend()
            if types is None and runtime is None:
                return self._link.on_message.add(handler)
            self._link.on_message.expect(handler)
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

            Sends nothing. It gives all frames from this moment on, in the order of arrival, each an
            object of its class in ``protocol``. Use it with ``async with``, which ends it. The
            server sends frames of a runtime only to connections that started it or asked for it: to
            watch what another client does, send ``sync`` first (section 16).

            Args:
                *types: The types of the frames; none for all. Frames of other types are not parsed.
                runtime: Agent and conversation; only frames that carry them are given.
                limit: How many frames are kept for a reader that lags; 65,536 by default.
                max_bytes: How many bytes of frames are kept, 64 MiB by default; a single frame may
                    be larger.
                overflow: What happens above a limit. ``drop_oldest``: the oldest frames are
                    dropped, which ``Subscription.dropped`` counts, but never a ``turn_finished``, a
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

        The function is called with the whole command, including ids that were added: within the
        call that sends, or on the loop's thread for what the client sends by itself (an abort at a
        time limit, the answer of a tool).

        Returns:
            A function that removes the handler.
        """
        self._bridge.check_process()
        self._bridge.attend()
        return self._link.on_send.add(handler)

    def on_disconnect(self, handler: Callable[[Disconnect], object]) -> Callable[[], None]:
        """Registers a function for the end of a connection that was not closed from here.

        It is called on the loop's thread, before the calls that were waiting fail: whoever learns
        of the loss from one of them finds that this was called already.

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
        the new state and an error. For ``reconnecting`` the error is that of the loss; for
        ``disconnected`` it is what ended the connection for good, such as a refused token.
        Otherwise it is ``None``, also when ``connect`` failed, which raises.

        Returns:
            A function that removes the handler.
        """
        self._bridge.check_process()
        self._bridge.attend()
        return self._on_state.add(handler)

    def on_lagged(self, handler: Callable[[int], object]) -> Callable[[], None]:
        """Registers a function that is told how many frames were dropped.

        If the loop is busy for so long that more than 65,536 frames or 64 MiB wait for message
        handlers, the oldest are dropped. Results of turns, answers to requests, and frames that end
        a turn or a terminal, want a permission or call a tool are never dropped.

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
        and returns the text of the result, or
        ``{"content": [{"type": "text", "text": …}], "is_error": …}``. An ``async def``, or an
        object whose ``__call__`` is one, runs on the loop. Any other function runs in a thread of
        its own; if what it returns can be awaited, it is awaited on the loop. An exception becomes
        an answer with its message; the traceback goes only to the log. A tool that is cancelled or
        calls ``sys.exit`` is answered for as well, and ends nothing but itself.

        At most ``external_tool_concurrency`` calls run at once. When an answer is no longer wanted,
        because the turn was aborted, the connection has ended or ``external_tool_timeout`` has
        passed, an ``async def`` is cancelled; a thread runs on, and what it returns is dropped.
        Every call has the context variables of the moment of registration.

        A client has one such function for all runtimes: a second one replaces the first, and
        removing the first then does nothing. Functions for the call's runtime take precedence, the
        latest first. Once there has been a function for a runtime, a call that no function is for
        is answered with an error.

        Args:
            handler: The function.
            runtime: Agent and conversation, as ``runtime_start`` returned them; ``None`` for all.
            names: The tools that the function is for; ``None`` for all.

        Returns:
            A function that removes the handler.

        Raises:
            InvalidOption: ``runtime`` is not a runtime, or ``names`` are not several strings.
            TypeError: The handler is not a function.
        """
        self._bridge.check_process()
        return self._tools.set(handler, runtime, names)

    def on_approval_request(
        self, handler: ApprovalHandler, *, runtime: Mapping[str, Any] | None = None
    ) -> Callable[[], None]:
        """Registers a function that decides on permission requests (protocol section 13).

        It decides for turns that have no handler of their own and were not sent with
        ``approvals="deny"``, and on whatever any other input or an earlier connection has left
        open. It gets an ``ApprovalRequest`` and returns ``allow(...)``, ``deny(...)`` or a decision
        in its wire form. It runs like a tool, with the context variables of the moment of
        registration; requests of one runtime come one after the other.

        A handler that raises or returns something else denies; that is logged and counted. When an
        answer is no longer wanted, an ``async def`` is cancelled. If the server refuses the answer,
        because somebody else was first, that is logged.

        A handler for the runtime is asked before one for all, and the latest before earlier ones.

        Args:
            handler: The function.
            runtime: Agent and conversation, as ``runtime_start`` returned them; ``None`` for all.

        Returns:
            A function that removes the handler. Requests that it was asked about and has not
            answered go to others.

        Raises:
            InvalidOption: ``runtime`` is not a runtime.
            TypeError: The handler is not a function.
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
        elif kind == "tool_refused":
            self._tools.refused(*delivery[2:])
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
            self._log.not_restored(*delivery[2:])
        elif kind == "closed":
            self._link.ended(None)
            self._log.closed(self.stats)
        elif kind == "unrecorded":
            self._log.unrecorded(delivery[2])
        elif kind == "lagged" and (self._link.has_listeners or self._link.on_send.entries):
            self._dropped += delivery[2]
            logger.warning("%d frames were dropped: the event loop was busy", delivery[2])
            self._link.lagged(delivery[2])
            self._on_lagged.emit(delivery[2])

    def _connecting(self, token: int) -> None:
        self._native.connect(token)
        self._link.connects()

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
        self._link.stands(state, None if why is None else lambda: _not_reopened(why))
        self._log.changed(state, why)
        self._on_state.emit(state, why)

    def __repr__(self) -> str:
        state = self._native.state if self._bridge.is_in_its_process() else "of another process"
        return f"<AppServerClient {state}>"


def _not_reopened(why: LettaAppError) -> Disconnected:
    """What who reads is told when a lost connection is given up."""
    message = f"the connection was lost and will not be reopened: {why.args[0]}"
    return Disconnected(message, hint=why.hint)
