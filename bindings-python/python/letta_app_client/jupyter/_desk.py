"""What the magics of one notebook have open: a client, its server, and named conversations."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from .. import sync
from ..errors import InvalidOption, LettaAppError
from ..tools import Tool
from ._mistake import MagicError

__all__ = ["Desk"]


class _Tools:
    """Functions of the notebook, and the tools that were made of them."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        """Takes them by the names of their variables.

        Raises:
            MagicError: One of them cannot be a tool.
        """
        self.functions = dict(functions)
        self.made = [_made(name, function) for name, function in functions.items()]

    def is_made_of(self, functions: Mapping[str, Callable[..., Any]]) -> bool:
        """Whether these are the same functions, and not others of the same names."""
        mine = self.functions
        return list(mine) == list(functions) and all(mine[one] is functions[one] for one in mine)


def _made(name: str, function: Callable[..., Any]) -> Tool[..., Any]:
    if isinstance(function, Tool):
        return function
    try:
        return Tool(function)
    except (TypeError, InvalidOption) as error:
        raise MagicError(f"{name} cannot be a tool: {error}") from None


class Desk:
    """Holds them, and makes what is missing."""

    def __init__(self) -> None:
        self.server: sync.OwnServer | None = None
        self.client: sync.AppServerClient | None = None
        self.agent_id: str | None = None
        self.sessions: dict[str, sync.Session] = {}
        self.turns: dict[str, sync.Turn] = {}
        self._tools: dict[str, _Tools] = {}

    def connect(self, url: str | None, token: str | None, command: str | None) -> str:
        """Connects, to a server that it starts where there is no address; says to which.

        What was open before is closed then, and stays as it is where that fails.
        """
        url = url or (None if command else os.environ.get("LETTA_URL"))
        if url is not None:
            client = sync.connect(url, token=token)
            own = self.server
            if own is not None and own.url == url:
                return self._swap_to_own(client, own)
            self._swap(client, None)
            return f"connected to {url}"
        words = shlex.split(command) if command else ["letta", "server"]
        server = sync.spawn_server(words, reuse=command is None)
        try:
            client = sync.connect(server)
        except BaseException:
            server.close()
            raise
        own = self.server
        if own is not None and server.joined and not own.joined and server.url == own.url:
            server.close()  # a second handle, of which nothing hangs
            return self._swap_to_own(client, own)
        self._swap(client, server)
        how = "joined a server that is already running" if server.joined else "started a server"
        return f"{how}, connected to {server.url}"

    def _swap_to_own(self, client: sync.AppServerClient, own: sync.OwnServer) -> str:
        # It would end with its owner, which is this notebook.
        self.server = None
        self._swap(client, own)
        how = "which is already running" if own.joined else "which this notebook started"
        return f"connected to {own.url}, {how}"

    def _swap(self, client: sync.AppServerClient, server: sync.OwnServer | None) -> None:
        try:
            self.disconnect()
        finally:
            # What is closed badly is gone all the same.
            self.client, self.server = client, server

    def disconnect(self) -> None:
        """Closes all of it."""
        client, server = self.client, self.server
        self.__init__()  # type: ignore[misc]
        try:
            with contextlib.suppress(LettaAppError):
                if client is not None:
                    client.close()
        finally:
            if server is not None:
                server.close()

    def connected(self) -> sync.AppServerClient:
        """The client.

        Raises:
            MagicError: There is none.
        """
        if self.client is None:
            raise MagicError("not connected; begin with %letta connect")
        return self.client

    def session(
        self,
        name: str,
        *,
        agent_id: str | None = None,
        conversation_id: str | None = None,
        mode: str | None = None,
        tools: Mapping[str, Callable[..., Any]] | None = None,
    ) -> sync.Session:
        """A conversation by its name here, which is begun where there is none yet."""
        client, known = self.connected(), self.sessions.get(name)
        if known is not None and agent_id not in (None, known.agent_id):
            raise MagicError(f"session {name} belongs to {known.agent_id}; choose another name")
        wanted = None if tools is None else _Tools(tools)
        if known is not None and conversation_id in (None, known.conversation_id):
            if wanted is None or wanted.is_made_of(self.tools(name)):
                if mode is not None and mode != known.mode:
                    known.set_mode(mode)  # type: ignore[arg-type]
                return known
            conversation_id, mode = known.conversation_id, mode or known.mode
            agent_id = known.agent_id
        given: dict[str, Any] = {"mode": mode or "standard", "tools": wanted.made if wanted else []}
        agent_id = agent_id or self.agent_id
        if agent_id is None:
            model = os.environ.get("LETTA_MODEL")
            body = {"name": "notebook", **({"model": model} if model else {})}
            given["create_agent"] = {"body": body, "pin_global": False}
        else:
            given["agent_id"] = agent_id
        if conversation_id is None:
            given["create_conversation"] = {"body": {}}
        else:
            given["conversation_id"] = conversation_id
        session = client.session(**given)
        self.agent_id = self.agent_id or session.agent_id
        if known is not None:
            known.close()
        self.sessions[name], self._tools[name] = session, wanted or _Tools({})
        return session

    def tools(self, name: str) -> dict[str, Callable[..., Any]]:
        """The functions that are the tools of a conversation, by the variables they came from."""
        known = self._tools.get(name)
        return {} if known is None else known.functions

    def tool_names(self, name: str) -> list[str]:
        """What the model calls the tools of a conversation."""
        known = self._tools.get(name)
        return [] if known is None else [one.name for one in known.made]

    def status(self) -> list[str]:
        """How it all stands, line by line."""
        if self.client is None:
            return ["not connected"]
        lines = [f"{self.client.state}" + (f", {self.server.url}" if self.server else "")]
        if self.agent_id is not None:
            lines.append(f"agent {self.agent_id}")
        lines += [f"{name}: {turn.explain()}" for name, turn in self.turns.items()]
        return lines
