"""What the magics of one notebook have open: a client, its server, and named conversations."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from .. import sync
from ..errors import LettaAppError
from ._mistake import MagicError

__all__ = ["Desk"]


class Desk:
    """Holds them, and makes what is missing."""

    def __init__(self) -> None:
        self.server: sync.OwnServer | None = None
        self.client: sync.AppServerClient | None = None
        self.agent_id: str | None = None
        self.sessions: dict[str, sync.Session] = {}
        self.turns: dict[str, sync.Turn] = {}
        self._tools: dict[str, list[str]] = {}

    def connect(self, url: str | None, token: str | None, command: str | None) -> str:
        """Connects, to a server that it starts where there is no address; says to which."""
        self.disconnect()
        url = url or (None if command else os.environ.get("LETTA_URL"))
        if url is not None:
            self.client = sync.connect(url, token=token)
            return f"connected to {url}"
        words = shlex.split(command) if command else ["letta", "server"]
        server = sync.spawn_server(words, reuse=command is None)
        try:
            self.client = sync.connect(server)
        except BaseException:
            server.close()
            raise
        self.server = server
        how = "joined a server that runs already" if server.joined else "started a server"
        return f"{how}, connected to {server.url}"

    def disconnect(self) -> None:
        """Closes all of it."""
        client, server = self.client, self.server
        self.__init__()  # type: ignore[misc]
        with contextlib.suppress(LettaAppError):
            if client is not None:
                client.close()
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
            raise MagicError(f"session {name} is one of {known.agent_id}; take another name")
        wanted = None if tools is None else list(tools)
        if known is not None and conversation_id in (None, known.conversation_id):
            same = wanted is None or wanted == self._tools.get(name, [])
            if same:
                if mode is not None and mode != known.mode:
                    known.set_mode(mode)  # type: ignore[arg-type]
                return known
            conversation_id, mode = known.conversation_id, mode or known.mode
            agent_id = known.agent_id
        given: dict[str, Any] = {"mode": mode or "standard", "tools": list((tools or {}).values())}
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
        self.sessions[name], self._tools[name] = session, wanted or []
        return session

    def tool_names(self, name: str) -> list[str]:
        """The tools of a conversation."""
        return list(self._tools.get(name, ()))

    def status(self) -> list[str]:
        """How it all stands, line by line."""
        if self.client is None:
            return ["not connected"]
        lines = [f"{self.client.state}" + (f", {self.server.url}" if self.server else "")]
        if self.agent_id is not None:
            lines.append(f"agent {self.agent_id}")
        lines += [f"{name}: {turn.explain()}" for name, turn in self.turns.items()]
        return lines
