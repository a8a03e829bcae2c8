"""Runs the function that answers external tool calls (protocol section 14)."""

from __future__ import annotations

import contextvars
import functools
import json
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from . import _native
from ._bridge import Bridge
from ._checks import expect_texts, runtime_ids
from ._failure import Failure
from ._jobs import Job, Jobs
from ._json import encode
from ._loops import Loop, logger
from ._surroundings import Surroundings
from .messages import Message

if TYPE_CHECKING:
    from .protocol import ExternalToolCallRequestMessage

__all__ = ["ToolHandler", "ToolResult", "Tools"]

ToolResult: TypeAlias = str | Mapping[str, Any]
"""The result of a tool: its text, or ``{"content": [{"type": "text", …}], "is_error": …}``."""

if TYPE_CHECKING:
    ToolHandler: TypeAlias = Callable[
        [ExternalToolCallRequestMessage], ToolResult | Awaitable[ToolResult]
    ]
    """Runs external tools: gets a call, and returns its result."""
else:
    # Whoever reads type hints while a program runs finds no name there that is not imported.
    ToolHandler = Callable[[Message], str | Mapping[str, Any] | Awaitable[Any]]


class _ToolJob(Job):
    what = "the tool"

    def __init__(
        self,
        native: _native.Connection,
        loop: Loop,
        handler: ToolHandler,
        call: Message,
        context: contextvars.Context,
    ) -> None:
        super().__init__(loop, handler, call, context)
        self._native = native
        self._call = call

    def label(self) -> str:
        return f"the external tool {json.dumps(self._call.get('tool_name'))}"

    def is_failure(self, output: object) -> bool:
        # A ``ToolSet`` has logged and answered for what its tool raised.
        return isinstance(output, Failure)

    def encode(self, output: Any) -> str:
        if isinstance(output, str):
            output = {"content": [{"type": "text", "text": output}]}
        if not isinstance(output, Mapping):
            kind = type(output).__name__
            raise TypeError(f"the tool returned {kind}; expected text or a mapping")
        return encode(output)  # the engine says whether it is a result

    def send(self, answer: str | None, error: str | None) -> None:
        self._native.answer_tool(self._call["request_id"], answer, error)


Place: TypeAlias = "tuple[str, str] | None"
"""Agent and conversation, or everywhere."""


class _Registered(NamedTuple):
    handler: ToolHandler
    names: frozenset[str] | None
    surroundings: Surroundings


class Tools:
    """Holds a handler for all and one for each runtime; answers calls with what they return."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._native: _native.Connection = bridge.native
        # By the place, and there by a key of each one's own.
        self._handlers: dict[Place, dict[object, _Registered]] = {}
        # There has been one for a runtime: what it was registered for is still called.
        self._scoped = False
        self._jobs = Jobs()

    @property
    def errors(self) -> int:
        """How often a tool raised, or returned what is no result."""
        return self._jobs.errors

    def set(
        self,
        handler: ToolHandler,
        runtime: Mapping[str, Any] | None,
        names: Iterable[str] | None,
        surroundings: Surroundings | None = None,
    ) -> Callable[[], None]:
        """Registers the handler: one for all in the place of the one before.

        It runs with the context variables of now, unless whoever registers it renews them.
        """
        checked: object = handler
        if not callable(checked):
            kind = type(checked).__name__
            raise TypeError(f"on_external_tool_call: expected a function, got {kind}")
        place = runtime_ids(runtime)
        wanted = None if names is None else frozenset(expect_texts("names", names))
        here = self._handlers.setdefault(place, {})
        if place is None:
            here.clear()
        else:
            self._scoped = True
        key = object()
        here[key] = _Registered(handler, wanted, surroundings or Surroundings())
        # Sessions that are dropped remove theirs at any moment, and the place with the last one.
        self._handlers[place] = here
        self._native.handle_tools(True)
        self._bridge.attend()
        # Who removes late, or never, must keep neither this nor the handler.
        return functools.partial(_remove, weakref.ref(self), place, key)

    def remove(self, place: Place, key: object) -> None:
        """Removes a handler, from any thread."""
        here = self._handlers.get(place)
        if here is None or here.pop(key, None) is None:
            return
        if not here:
            self._handlers.pop(place, None)
            if here:
                # Another thread has registered one meanwhile.
                self._handlers[place] = here
        if not self._scoped:
            self._native.handle_tools(bool(self._handlers))

    def call(self, call: Message) -> None:
        """Runs the tool."""
        loop = self._bridge.loop
        if loop is None:
            return
        scope = call.get("runtime") or {}
        place: Any = (scope.get("agent_id"), scope.get("conversation_id"))
        name = call.get("tool_name")
        # The latest first.
        for one in reversed([*self._at(None), *self._at(place)]):
            if one.names is None or name in one.names:
                job = _ToolJob(self._native, loop, one.handler, call, one.surroundings.context)
                self._jobs.start(call["request_id"], job)
                return
        if self._scoped:
            # The server calls only what this connection has registered: nobody else answers.
            words = "there is no handler for this tool any more"
            self._native.answer_tool(call["request_id"], None, words)

    def _at(self, place: Place) -> list[_Registered]:
        return list(self._handlers.get(place, {}).values())

    def over(self, request_id: str, reason: str) -> None:
        """What the tool answers would reach nobody any more."""
        logger.debug("the result of an external tool is no longer needed: %s", reason)
        self._jobs.over(request_id)

    def refused(self, _request_id: str, tool_name: str, reason: str) -> None:
        """The engine has answered with an error: what the tool returned is no result."""
        self._jobs.errors += 1
        logger.error("the external tool %s failed: %s", json.dumps(tool_name), reason)


def _remove(tools: weakref.ref[Tools], place: Place, key: object) -> None:
    found = tools()
    if found is not None:
        found.remove(place, key)
