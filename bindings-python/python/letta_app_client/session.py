"""A conversation with an agent, the way programs use it: ask, follow, stop."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Literal, TypeAlias, TypedDict, TypeVar, overload

# Finds what is imported later, also for those who read type hints while a program runs.
import letta_app_client as letta

from . import policy
from ._answers import forked_id, started_runtime
from ._checks import expect, expect_prompt, expect_texts
from ._decided import Decided
from ._directory import absolute, is_at, shown
from ._filters import Wanted
from ._history import History
from ._limits import Resend
from ._own import Own
from ._pending import Pending
from ._prompt import Prompt
from ._rich import Rich
from ._settings import checked, expect_check
from ._stream import TurnStream
from ._subscription import Inbox
from ._surroundings import Surroundings
from ._uncopied import Uncopied
from ._unpack import Unpack
from .approvals import ApprovalHandler, ApprovalMode
from .errors import ClientClosed, InvalidOption, RequestError
from .events import TurnEvent
from .messages import Fields
from .results import TurnResult, Usage
from .tools import Tool, ToolSet
from .turn import Turn

__all__ = ["MapSettings", "Opening", "PermissionMode", "Prompt", "Session", "TurnSettings"]

T = TypeVar("T")

PermissionMode: TypeAlias = Literal["standard", "acceptEdits", "unrestricted", "strict"]
"""What runs unasked (protocol section 8)."""


_STATUSES = 100
"""How many statuses are kept while one is asked for; the last one counts."""


_OWN_OPTIONS = (
    "agent_id",
    "create_agent",
    "conversation_id",
    "create_conversation",
    "mode",
    "cwd",
    "tools",
    "fields",
    "check",
)
"""What ``AppServerClient.session`` takes besides the settings of turns."""


class TurnSettings(TypedDict, total=False):
    """The limits of a turn and who decides on permissions; as for ``AppServerClient.run_turn``.

    Times are in seconds; ``None`` means no limit.
    """

    timeout: float | None
    idle_timeout: float | None
    tool_timeout: float | None
    approval_timeout: float | None
    abort_grace: float | None
    accept_timeout: float | None
    recover_timeout: float | None
    resend: Resend
    approvals: ApprovalMode | ApprovalHandler
    allow: Iterable[str]


class MapSettings(TurnSettings, total=False):
    """What ``letta.map`` takes besides: how each conversation starts, and its turns.

    As for ``AppServerClient.session``.
    """

    mode: PermissionMode
    cwd: str | os.PathLike[str] | None
    tools: Iterable[Tool[..., Any] | Callable[..., Any]] | None
    create_conversation: Mapping[str, Any]
    fields: Mapping[str, Any]


class Session(Uncopied, Rich):
    """A conversation with an agent, from ``AppServerClient.session``.

    ::

        session = await client.session(agent_id="agent-123", cwd=".")
        result = await session.run("Summarize the tests.")
        async for chunk in session.stream_text("And now the benchmarks."):
            print(chunk, end="")

    A session is a cheap handle: several may exist for one conversation, whose mode, directory and
    tools are those of all. If you drop one, it still answers calls of its tools until the turns
    that it has sent are over.
    """

    _rich: ClassVar[str] = "session"
    _instead = "pickle its ids and the ConnectOptions of its client, and open it where it is needed"

    def __init__(
        self,
        client: letta.AppServerClient,
        runtime: Fields,
        start: Mapping[str, Any],
        tools: ToolSet,
        settings: TurnSettings,
        *,
        opening: str,
        check: bool | None,
    ) -> None:
        """Use ``AppServerClient.session``."""
        self._client = client
        self._runtime = runtime
        self._tools = tools
        # Of its latest turn, as approval handlers have them: one session may serve many requests.
        self._surroundings = Surroundings()
        remove_tools = None
        if len(tools) > 0:
            names = [tool.name for tool in tools]
            register = client._tools.set  # noqa: SLF001 - of this package
            remove_tools = register(tools, runtime, names, self._surroundings)
        self._start = dict(start)
        self._settings = settings
        self._check = check
        self._cwd: str | None = None
        self._cwd_ignored = False
        self._closings = 0
        self._inputs = 0
        self._own = Own(client._native, runtime, opening, remove_tools)  # noqa: SLF001
        self._start["mode"] = self.mode
        self._decided = Decided()

    @property
    def client(self) -> letta.AppServerClient:
        """The client it belongs to."""
        return self._client

    @property
    def runtime(self) -> Fields:
        """Agent and conversation, as other commands want them."""
        return self._runtime

    @property
    def agent_id(self) -> str:
        """The agent."""
        return str(self._runtime["agent_id"])

    @property
    def conversation_id(self) -> str:
        """The conversation."""
        return str(self._runtime["conversation_id"])

    @property
    def mode(self) -> str:
        """Which tools run without asking, as this client has last set it for the conversation."""
        return str(self._own.mode or self._start.get("mode", "standard"))

    @property
    def cwd(self) -> str | None:
        """The directory the conversation works in; ``None`` when none was asked for here."""
        return self._cwd

    @property
    def cwd_ignored(self) -> bool:
        """Whether the server has silently kept another directory than the one asked for.

        The server does so when there is no such directory on its machine (protocol section 8);
        ``cwd`` is then the one it kept.
        """
        return self._cwd_ignored

    @property
    def usage(self) -> Usage:
        """Token counts of all turns of this session that have ended, summed."""
        return self._own.usage

    @property
    def approvals(self) -> tuple[letta.policy.AuditEntry, ...]:
        """What was decided on permissions in this session's turns: when, by whom, and why not.

        Lists the decisions of the functions and policies given as ``approvals``, in order.
        All others, by a word, by ``allow`` or by a handler of the client, appear only in the
        events of the turn. The list holds the latest 4,096, or as many as have requests of 64 MiB
        together; ``approvals_dropped`` counts the others. A ``policy.Audit`` keeps all of them.
        """
        return self._decided.entries()

    @property
    def approvals_dropped(self) -> int:
        """How many decisions are no longer in ``approvals``, because there were too many."""
        return self._decided.dropped

    @overload
    async def run(
        self, prompt: Prompt, *, check: bool | None = None, **settings: Unpack[TurnSettings]
    ) -> TurnResult: ...
    @overload
    async def run(
        self, prompt: Prompt, *, output_type: type[T], **settings: Unpack[TurnSettings]
    ) -> letta.StructuredResult[T]: ...
    @overload
    async def run(
        self, prompt: Prompt, *, output_type: Any, **settings: Unpack[TurnSettings]
    ) -> letta.StructuredResult[Any]: ...

    async def run(
        self,
        prompt: Prompt,
        *,
        output_type: Any = None,
        check: bool | None = None,
        **settings: Unpack[TurnSettings],
    ) -> TurnResult:
        """Sends a prompt and waits for the end of the turn.

        Sends ``input`` and follows its turn (protocol sections 8.1 and 17). Cancelling stops the
        turn on the server. If the connection is lost, the next one is used to look for the turn in
        the stored conversation; an input that is proven not to have arrived is sent again: see
        ``resend``, which is ``"if_uncommitted"`` here.

        With ``output_type`` the agent has to submit an object of that type, which becomes
        ``result.output``. For that time a tool ``submit_result`` is registered whose arguments are
        the fields of the type (``runtime_external_tools_update``, section 14, or ``runtime_start``
        if the server is too old for that). Only this turn sees the tool, and it needs no
        permission. If the arguments do not fit, the agent is told which and why; if it ends its
        turn without a result, it is asked once more, in a second turn. Limits apply to each of the
        two turns. Several such calls in one conversation run one after
        the other, and each waits until nothing else runs there, because the server would otherwise
        give it the tools of the other turn (section 10). Its limits apply while it waits.

        Args:
            prompt: What is said.
            output_type: A dataclass, ``TypedDict``, named tuple or pydantic model, or any other
                hint that a parameter of a tool may have, such as ``list[Finding]``; see ``tool``.
            check: Whether a turn that did not end normally raises. Otherwise its result is
                returned, as ``subprocess.run`` does. The default is the session's ``check``, or
                ``True`` if that has none; with ``output_type`` it is always ``True``.
            **settings: Limits, and who is asked for permissions, instead of the session's.

        Raises:
            TurnFailed: The turn ended with an error; with ``check`` only, like the next two.
            TurnAborted: The turn was stopped, other than by ``close``; or its input was removed
                from the queue, which raises even without ``check``.
            ApprovalRequired: The turn needs a permission, with ``approvals="raise"``, or with
                ``"pause"`` and ``check``.
            TurnError: Its other subclasses, and the other errors, as for
                ``AppServerClient.run_turn``.
            StructuredOutputError: Neither turn produced a valid result; ``text`` is what the agent
                said instead, ``errors`` what is wrong with the last attempt.
            InvalidOption: With ``output_type``: ``check`` is false, or the session has a tool
                ``submit_result`` of its own. Or a setting has an unusable value. Nothing was sent.
            TypeError: There is no such setting, or ``output_type`` cannot be expressed in JSON.
        """
        settings = checked("Session.run", settings, ("check", "output_type"))
        raises = expect_check(check, otherwise=self._check is not False)
        if output_type is None:
            settings = {"resend": "if_uncommitted", **self._settings, **settings}
            return await self._asked(prompt, settings, check=raises)
        if check is False:
            raise InvalidOption(
                "check: cannot be turned off with output_type: such a turn has an output, or raises"
            )
        # Only those who want one need it.
        from ._output import Output  # noqa: PLC0415
        from ._structured import run_structured  # noqa: PLC0415

        return await run_structured(self, prompt, Output(output_type), settings)

    def send(
        self, prompt: Prompt, *, check: bool | None = None, **settings: Unpack[TurnSettings]
    ) -> Turn:
        """Sends a prompt and returns the turn's handle at once; see ``AppServerClient.send_turn``.

        If another turn is running, the server queues this one. Awaiting the turn gives its result
        however it ends, unless it is interrupted or reaches a limit. An input that was lost with
        its connection is not sent again, unless ``resend`` says so.

        Args:
            prompt: What is said.
            check: Whether awaiting the turn raises when it did not end normally, as with ``run``.
                The default is the session's ``check``, or ``False`` if that has none. A turn that
                was stopped through its handle, its stream or ``Session.close`` does not raise; one
                that had ended before raises as ever.
            **settings: Limits, and who is asked for permissions, instead of the session's.

        Raises:
            InvalidOption: A setting is not usable.
            TypeError: There is no such setting.
            LettaAppError: Its other subclasses, as for ``AppServerClient.send_turn``.
        """
        return self._send("send", prompt, settings, check=check)

    def stream(
        self, prompt: Prompt, *, check: bool | None = None, **settings: Unpack[TurnSettings]
    ) -> TurnStream[TurnEvent]:
        """Sends a prompt and iterates over the turn's events; the last is ``TurnFinished``.

        Leaving the loop early stops the turn on the server, and so does closing or dropping the
        stream before the loop has begun. With ``check`` the iteration raises instead of giving that
        event if the turn did not end normally. See ``Turn``; otherwise it works like ``send``.
        """
        turn = self._send("stream", prompt, settings, check=check)
        return turn._events(owned=True)  # noqa: SLF001 - of this package

    def stream_text(
        self, prompt: Prompt, *, check: bool | None = None, **settings: Unpack[TurnSettings]
    ) -> TurnStream[str]:
        """Sends a prompt and iterates over the agent's text as it comes; see ``Turn.stream_text``.

        Otherwise it works like ``stream``.
        """
        turn = self._send("stream_text", prompt, settings, check=check)
        return turn._text(owned=True)  # noqa: SLF001 - of this package

    async def abort(self) -> bool:
        """Stops whatever is running in the conversation, even if others started it (section 15).

        Sends ``abort_message``; inputs in the server's queue still run. A turn of this session that
        it stops is to ``check`` one that somebody else has stopped: it raises ``TurnAborted``.

        Returns:
            Whether there was something to stop.
        """
        return bool((await self._client.abort(runtime=self._runtime)).aborted)

    def messages(self, **query: Any) -> AsyncGenerator[Fields, None]:
        """Iterates over the stored messages, newest first, page by page (protocol section 19)."""
        query.setdefault("agent_id", self.agent_id)
        return self._client.conversations.messages(self.conversation_id, **query)

    async def history(self, limit: int = 20) -> History:
        """Returns the latest stored messages, the oldest first (protocol section 19).

        Args:
            limit: How many at most.

        Raises:
            InvalidOption: ``limit`` is not usable.
            RequestError: The server refused.
        """
        expect("limit", limit, "a number", (int,))
        if limit < 1:
            raise InvalidOption(f"limit: expected a number above 0, got {limit}")
        found: list[Fields] = []
        async for message in self.messages():
            found.append(message)
            if len(found) == limit:
                break
        return History(reversed(found))

    async def fork(self) -> Session:
        """Copies the conversation into a new one, with the same mode and directory.

        Sends ``conversation_fork``, then ``runtime_start``. A session that does not know its
        directory, because it has asked for none, first asks the server for it (``sync``).
        """
        # The server starts a copy in its own directory, not in the one of the conversation.
        cwd = await self._directory() if self._cwd is None else self._cwd
        command = {"type": "conversation_fork", "conversation_id": self.conversation_id}
        # Every agent has a conversation of that name.
        is_default = self.conversation_id == "default"
        of_agent = {"body": {"agent_id": self.agent_id}} if is_default else {}
        forked = await self._client.request({**command, **of_agent})
        skipped = ("create_agent", "create_conversation", "agent_id", "conversation_id", "cwd")
        start = {key: value for key, value in self._start.items() if key not in skipped}
        start |= {"agent_id": self.agent_id, "conversation_id": forked_id(forked)}
        start["mode"] = self.mode
        rest = (cwd, self._tools, self._settings)
        return await Opening(self._client, start, *rest, check=self._check)

    def set_mode(self, mode: PermissionMode) -> None:
        """Changes which tools run without asking: ``change_device_state``, which has no answer."""
        self._change({"mode": mode})
        self._start["mode"] = mode

    async def set_cwd(self, path: str | os.PathLike[str]) -> None:
        """Changes the directory: ``change_device_state``, and waits until the server shows it.

        If the server does not show it by itself, it is asked (``sync``) 0.25 s after it has handled
        the change, or 2 s after the change was sent.

        Args:
            path: On the server's machine; a relative path is resolved against the current directory
                of this process.

        Raises:
            RequestError: The server has kept another directory.
        """
        wanted = absolute(path)
        link = self._client._link  # noqa: SLF001 - of this package
        folder = await shown(link, self._runtime, lambda: self._change({"cwd": wanted}), wanted)
        if folder is None:
            await self._look(wanted)
        else:
            self._cwd, self._cwd_ignored = folder, False
        if self._cwd_ignored:
            raise RequestError(f"the server has no directory {wanted!r} and stays in {self._cwd!r}")

    async def update_model(self, handle: str) -> None:
        """Changes the model by its handle: ``update_model``.

        An unknown handle is accepted, and fails only when it is used (protocol section 19).
        """
        await self._client.request(
            {
                "type": "update_model",
                "runtime": self._runtime,
                "payload": {"model_handle": handle},
            }
        )

    async def close(self) -> None:
        """Stops this session's turns that have not ended, without waiting for their end.

        The conversation stays on the server. Calls of its tools are answered with the error "there
        is no handler for this tool any more", unless another session of the conversation has the
        tool. The conversation is not started again after a reconnect, unless another session uses
        it or a command names it.
        """
        self._own.close()
        self._stop()

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _asked(
        self, prompt: Prompt, settings: TurnSettings, *, check: bool, scopes: Sequence[str] = ()
    ) -> TurnResult:
        turn = self._sent(prompt, settings, check=check, scopes=scopes)
        turn._flight.leave()  # noqa: SLF001 - of this package; nobody follows it
        return await turn

    def _send(
        self, method: str, prompt: Prompt, settings: TurnSettings, *, check: bool | None
    ) -> Turn:
        settings = checked(f"Session.{method}", settings, ("check",))
        return self._sent(
            prompt, settings, check=expect_check(check, otherwise=self._check is True)
        )

    def _sent(
        self, prompt: Prompt, settings: TurnSettings, *, check: bool, scopes: Sequence[str] = ()
    ) -> Turn:
        chosen: TurnSettings = {**self._settings, **settings}
        if "approvals" not in chosen:
            # Whoever passes a function in lets the agent call it; all else is asked of the client's
            # handlers, and denied where there are none.
            own = [tool.name for tool in self._tools]
            chosen["approvals"] = "ask_or_deny"
            chosen["allow"] = [*own, *expect_texts("allow", chosen.get("allow", ()))]
        decides = chosen["approvals"]
        if callable(decides):
            chosen["approvals"] = policy.Audit.into(self._decided, decides)
        self._inputs += 1
        payload = input_payload(prompt)
        if self._tools.scope_id is not None and len(self._tools) > 0:
            # The model would not see them otherwise.
            scopes = [self._tools.scope_id, *scopes]
        if scopes:
            payload["external_tool_scope_ids"] = list(scopes)
        self._surroundings.renew()
        turn = self._client.send_turn(runtime=self._runtime, payload=payload, check=check, **chosen)
        self._own.sent(turn._flight)  # noqa: SLF001 - of this package
        return turn

    def _stop(self) -> None:
        """Stops what was sent and has not ended, and what would be sent after that."""
        self._closings += 1
        self._own.stop()

    def _groups(self) -> list[Any]:
        """The groups of external tools that it has anyway."""
        return _groups(self._start, self._tools)

    def _change(self, payload: Mapping[str, Any]) -> None:
        command = {"type": "change_device_state", "runtime": self._runtime, "payload": payload}
        self._client.send(command)

    async def _look(self, wanted: str) -> None:
        """Takes what the server says of the directory it was asked for."""
        self._cwd = await self._directory()
        self._cwd_ignored = self._cwd is not None and not is_at(self._cwd, wanted)

    async def _directory(self) -> str | None:
        """Asks for the directory: the snapshot comes before the answer (section 16)."""
        link = self._client._link  # noqa: SLF001 - of this package
        # Not a handler: nothing is to be called, and in the end they are all here.
        inbox = Inbox(link, Wanted("update_device_status", self._runtime), _STATUSES)
        try:
            await self._client.sync(
                runtime=self._runtime, recover_approvals=False, force_device_status=True
            )
            statuses = [frame.get("device_status") or {} for frame in inbox.taken()]
        finally:
            inbox.leave()
        folders = [status.get("current_working_directory") for status in statuses]
        seen = [folder for folder in folders if folder]
        return seen[-1] if seen else None

    def __repr__(self) -> str:
        return f"<Session {self.agent_id} {self.conversation_id}>"


class Opening(Pending[Session]):
    """What ``AppServerClient.session`` returns: to be awaited, or used with ``async with``."""

    def __init__(
        self,
        client: letta.AppServerClient,
        start: Mapping[str, Any],
        cwd: str | os.PathLike[str] | None,
        tools: Iterable[Tool[..., Any] | Callable[..., Any]] | None,
        settings: TurnSettings,
        *,
        check: bool | None,
    ) -> None:
        """Use ``AppServerClient.session``."""
        self._client = client
        self._start = start
        self._cwd = None if cwd is None else absolute(cwd)
        self._tools = ToolSet(() if tools is None else tools)
        self._settings = checked("AppServerClient.session", settings, _OWN_OPTIONS)
        self._check = None if check is None else expect_check(check, otherwise=check)

    def check(self) -> None:
        """Checks what would be sent, as far as that needs no server.

        Raises:
            ClientClosed: The client was closed.
            InvalidCommand: A field is missing, misspelt or of the wrong type.
        """
        if self._client.state == "closed":
            raise ClientClosed("the client is closed")
        command = {**self._fields(), "type": "runtime_start"}
        self._client._native.check_command(command)  # noqa: SLF001 - of this package

    def _fields(self) -> dict[str, Any]:
        fields = dict(self._start)
        if self._cwd is not None:
            fields["cwd"] = self._cwd
        # What has no groups is left to the check of the command, which names it.
        if isinstance(fields.get("external_tools", ()), Iterable):
            groups = _groups(self._start, self._tools)
            if groups:
                fields["external_tools"] = groups
        return fields

    async def _open(self) -> Session:
        return await self._step_by_step(lambda step: step())

    async def _step_by_step(self, take: Callable[[Callable[[], Any]], Any]) -> Session:
        """Opens it with a function that takes each step: what was sent is not sent again."""
        started = await take(lambda: Own.start(self._client, self._fields()))
        runtime, opening = started_runtime(started), started["request_id"]
        rest = (self._start, self._tools, self._settings)
        session = Session(self._client, runtime, *rest, opening=opening, check=self._check)
        if (cwd := self._cwd) is not None:
            try:
                await take(lambda: session._look(cwd))  # noqa: SLF001 - of this module
            except BaseException:
                await session.close()
                raise
        return session


def _groups(start: Mapping[str, Any], tools: ToolSet) -> list[Any]:
    """What is registered for a conversation: what its fields say, and its own tools."""
    own = tools.external_tools if len(tools) > 0 else ()
    return [*(start.get("external_tools") or ()), *own]


def input_payload(prompt: Prompt) -> letta.protocol.InputCreateMessagePayload:
    """The payload of the ``input`` that a prompt becomes."""
    return {
        "kind": "create_message",
        "messages": [{"role": "user", "content": expect_prompt(prompt)}],
    }
