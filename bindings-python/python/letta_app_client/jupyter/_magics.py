"""``%letta`` and ``%%letta``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import policy
from ..errors import LettaAppError, TurnError
from ..sync._interrupts import Interrupts
from ..tools import Tool
from . import _options
from ._ask import ask
from ._complete import completions
from ._desk import Desk
from ._inspecting import inspect, variables
from ._mistake import MagicError, said
from ._query import dataframe_query
from ._running import run_cell

if TYPE_CHECKING:
    from .. import sync
    from ..results import TurnResult

__all__ = ["Magics", "register", "unregister"]

READY_MADE: dict[str, Tool[..., Any]] = {
    one.name: one for one in (variables, inspect, dataframe_query, run_cell)
}


def register(shell: Any) -> None:
    """Adds the magics and their completion to an IPython."""
    magics = Magics(shell)
    shell.register_magic_function(magics.line, "line", "letta")
    shell.register_magic_function(magics.cell, "cell", "letta")
    for key in ("%letta", "%%letta"):
        shell.set_hook("complete_command", magics.complete, str_key=key)


def unregister(shell: Any) -> None:
    """Takes them away, and closes the client."""
    for kind in ("line", "cell"):
        function = shell.magics_manager.magics[kind].pop("letta", None)
        if function is not None:
            function.__self__.desk.disconnect()


class Magics:
    """The magics of one IPython."""

    def __init__(self, shell: Any) -> None:
        """Takes the IPython whose variables are used and made."""
        self._shell = shell
        self.desk = Desk()

    def line(self, line: str) -> None:
        """Drive agents from this notebook: connect, use, status, sessions, abort, disconnect, help.

        ``%letta help`` lists what there is.
        """
        name, _, rest = line.strip().partition(" ")
        name = name or "help"
        if name in ("-h", "--help"):
            name = "help"
        if name not in _options.COMMANDS:
            meant = _options.suggested(name, list(_options.COMMANDS))
            raise MagicError(f"there is no command {name!r}; {meant}")
        given = _options.parse(_options.COMMANDS[name], rest)
        try:
            getattr(self, f"_{name}")(given)
        except LettaAppError as error:
            raise said(error) from None

    def cell(self, line: str, cell: str) -> Any:
        """Ask an agent what the cell says, and show the turn while it runs.

        ``%letta help`` lists the options.
        """
        if line.strip() in ("-h", "--help"):
            self._help(None)
            return None
        given = _options.parse(_options.CELL, line)
        self.desk.connected()
        if not cell.strip():
            raise MagicError("nothing to ask: write the prompt below %%letta")
        try:
            return self._asked(given, cell.strip())
        except LettaAppError as error:
            raise said(error) from None

    def complete(self, _shell: Any, event: Any) -> list[str]:
        """Completes commands, options and their values."""
        return completions(
            event.line,
            event.symbol,
            sessions=list(self.desk.sessions),
            tools=[*READY_MADE, *self._functions()],
        )

    # --- the commands ----------------------------------------------------------------------------

    def _connect(self, given: Any) -> None:
        token = os.environ.get(given.token_env)
        if token is None and given.token_env != "LETTA_TOKEN":  # noqa: S105 - a name
            raise MagicError(f"there is no environment variable {given.token_env}")
        self._say(self.desk.connect(given.url, token, given.command))

    def _use(self, given: Any) -> None:
        self.desk.connected()
        known = self.desk.sessions.pop(given.session, None)
        try:
            session = self.desk.session(
                given.session, agent_id=given.agent, conversation_id=given.conversation
            )
        except BaseException:
            if known is not None:
                self.desk.sessions[given.session] = known
            raise
        if known is not None:
            known.close()
        self.desk.agent_id = given.agent
        self._say(f"{given.session}: {session.agent_id}, {session.conversation_id}")

    def _status(self, _given: Any) -> None:
        self._say(*self.desk.status())

    def _sessions(self, _given: Any) -> None:
        found = self.desk.sessions.items()
        lines = [
            f"{name}: {one.agent_id}, {one.conversation_id}, mode {one.mode},"
            f" {one.usage.total_tokens:,} tokens"
            for name, one in found
        ]
        self._say(*(lines or ["no conversation yet; %%letta begins one"]))

    def _abort(self, given: Any) -> None:
        self.desk.connected()
        sessions = self.desk.sessions
        if given.session is not None and given.session not in sessions:
            raise MagicError(_no_session(given.session, list(sessions)))
        names = list(sessions) if given.session is None else [given.session]
        stopped = [name for name in names if sessions[name].abort()]
        self._say(f"stopped: {', '.join(stopped)}" if stopped else "nothing runs")

    def _disconnect(self, _given: Any) -> None:
        self.desk.disconnect()
        self._say("disconnected")

    def _help(self, _given: Any) -> None:
        self._say(_options.HELP)

    def _say(self, *lines: str) -> None:
        print("\n".join(lines))  # noqa: T201 - that is its output

    # --- the cell --------------------------------------------------------------------------------

    def _asked(self, given: Any, prompt: str) -> Any:
        session = self.desk.session(
            given.session, agent_id=given.agent, mode=given.mode, tools=self._tools(given)
        )
        own = self.desk.tool_names(given.session)
        rules = [policy.allow(*own)] if own else []
        turn: sync.Turn | None = None
        # Whatever comes of this one, the variable says nothing of an earlier turn.
        self._keep(given, None)
        try:
            with Interrupts():
                # The stop button waits until it is known what to stop.
                turn = session.send(
                    prompt,
                    approvals=policy.first_match(*rules, policy.ask(ask)),
                    timeout=given.timeout,
                    resend="if_uncommitted",
                )
                self.desk.turns[given.session] = turn
                if not given.quiet:
                    turn.display()
            result = turn.result()
        except KeyboardInterrupt:
            if turn is not None:
                self._keep(given, _stopped(turn))
            raise MagicError("stopped") from None
        except TurnError as error:
            self._keep(given, error.result)
            raise
        self._keep(given, result)
        if result.status != "completed":
            raise MagicError(f"the turn has {_how(result)}")
        if not given.json:
            return None
        value = _parsed(result, given.into)
        self._keep(given, value)
        return value if given.into is None else None

    def _keep(self, given: Any, value: Any) -> None:
        if given.into is not None:
            self._shell.user_ns[given.into] = value

    def _tools(self, given: Any) -> dict[str, Callable[..., Any]] | None:
        """The functions that are wanted, or those that the conversation has, as they are now."""
        if given.tools is not None:
            return {name: self._tool(name) for name in given.tools}
        known = self.desk.tools(given.session)
        return {name: self._own(name) or before for name, before in known.items()} or None

    def _own(self, name: str) -> Callable[..., Any] | None:
        found = self._shell.user_ns.get(name)
        return found if callable(found) else None

    def _tool(self, name: str) -> Callable[..., Any]:
        own = self._own(name)
        if own is not None:
            return own
        if name in READY_MADE:
            return READY_MADE[name]
        known = [*READY_MADE, *self._functions()]
        raise MagicError(f"the notebook has no function {name}; {_options.suggested(name, known)}")

    def _functions(self) -> list[str]:
        found = dict(self._shell.user_ns).items()
        return [
            name
            for name, value in found
            if not name.startswith("_")
            and (isinstance(value, Tool) or type(value).__name__ == "function")
            and getattr(value, "__module__", None) == "__main__"
        ]


def _stopped(turn: sync.Turn) -> TurnResult | None:
    """Stops a turn; what has come of it so far."""
    try:
        return turn.abort()
    except TurnError as error:
        return error.result


def _how(result: TurnResult) -> str:
    reason = result.error or result.stop_reason
    word = {"aborted": "been stopped"}.get(str(result.status), str(result.status or "failed"))
    return f"{word}: {reason}" if reason else word


def _parsed(result: TurnResult, kept: str | None) -> Any:
    """The JSON of an answer, with or without a fence around it."""
    text = result.text.strip()
    fenced = re.fullmatch(r"```(?:json)?\s*\n(.*?)\n?```", text, re.DOTALL)
    try:
        return json.loads(fenced[1] if fenced else text)
    except ValueError as error:
        where = "" if kept is None else f"; {kept} holds the result as it is"
        raise MagicError(f"the answer is not JSON ({error}){where}: {text[:200]}") from None


def _no_session(name: str, known: list[str]) -> str:
    return f"there is no session {name!r}; {_options.suggested(name, known)}"
