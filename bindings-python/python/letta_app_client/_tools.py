"""Runs the function that answers external tool calls (protocol section 14)."""

from __future__ import annotations

import contextvars
import inspect
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from . import _native
from ._bridge import Bridge
from ._handlers import logger
from ._json import encode
from .messages import Message

__all__ = ["ToolHandler", "ToolOutput", "Tools"]

ToolOutput: TypeAlias = "str | Mapping[str, Any]"
"""The result of a tool: its text, or ``{"content": [{"type": "text", …}], "is_error": …}``."""

ToolHandler: TypeAlias = "Callable[[Message], ToolOutput | Awaitable[ToolOutput]]"


class Tools:
    """Holds at most one handler and answers calls with what it returns."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._native: _native.Connection = bridge.native
        self._handler: ToolHandler | None = None
        self._context = contextvars.copy_context()
        self.errors = 0

    def set(self, handler: ToolHandler) -> Callable[[], None]:
        """Registers the handler, in the place of the one before."""
        checked: object = handler
        if not callable(checked):
            kind = type(checked).__name__
            raise TypeError(f"on_external_tool_call: expected a function, got {kind}")
        self._handler = handler
        self._context = contextvars.copy_context()
        self._native.handle_tools(True)

        def remove() -> None:
            if self._handler is handler:
                self._handler = None
                self._native.handle_tools(False)

        return remove

    def call(self, call: Message) -> None:
        """Runs the tool: a coroutine function on the loop, any other in a thread of its own."""
        handler, loop = self._handler, self._bridge.loop
        if handler is None or loop is None:
            return
        if inspect.iscoroutinefunction(handler):

            async def run() -> None:
                try:
                    output = await handler(call)
                except Exception as error:  # noqa: BLE001 - any failure is the tool's answer
                    self._failed(call, error)
                else:
                    self._answer(call, output)

            loop.spawn(run, self._context)
            return
        # Not a pool: a tool that hangs must hold up neither other tools nor the exit.
        threading.Thread(
            target=self._context.copy().run,
            args=(self._run, handler, call),
            name="letta-app-client-tool",
            daemon=True,
        ).start()

    def _run(self, handler: ToolHandler, call: Message) -> None:
        try:
            output = handler(call)
        except Exception as error:  # noqa: BLE001 - any failure is the tool's answer
            self._failed(call, error)
        else:
            self._answer(call, output)

    def _answer(self, call: Message, output: Any) -> None:
        try:
            if isinstance(output, str):
                output = {"content": [{"type": "text", "text": output}]}
            if not isinstance(output, Mapping):
                kind = type(output).__name__
                raise TypeError(f"the tool returned {kind}; expected text or a mapping")  # noqa: TRY301
            text = encode(output)
        except Exception as error:  # noqa: BLE001 - any failure is the tool's answer
            self._failed(call, error)
        else:
            self._native.answer_tool(call["request_id"], text, None)

    def _failed(self, call: Message, error: Exception) -> None:
        self.errors += 1
        name = json.dumps(call.get("tool_name"))
        logger.error("the external tool %s raised", name, exc_info=error)
        text = str(error) or type(error).__name__
        self._native.answer_tool(call["request_id"], None, text)
