"""Runs the function that answers external tool calls (protocol section 14)."""

from __future__ import annotations

import contextvars
import functools
import inspect
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from . import _native
from ._bridge import Bridge
from ._json import encode
from ._loops import Loop, logger
from .messages import Message

__all__ = ["ToolHandler", "ToolOutput", "Tools"]

ToolOutput: TypeAlias = "str | Mapping[str, Any]"
"""The result of a tool: its text, or ``{"content": [{"type": "text", …}], "is_error": …}``."""

ToolHandler: TypeAlias = "Callable[[Message], ToolOutput | Awaitable[ToolOutput]]"


def _is_async(handler: object) -> bool:
    """Whether calling it does nothing but make a coroutine."""
    while isinstance(handler, functools.partial):
        handler = handler.func
    # Of the type: that is where Python looks for it, and functions have a plain one.
    call = type(handler).__call__
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)


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
        context = self._context.copy()
        if _is_async(handler):
            self._await(loop, context, call, handler)
            return
        # Not a pool: a tool that hangs must hold up neither other tools nor the exit.
        threading.Thread(
            target=context.run,
            args=(self._run, loop, handler, call),
            name="letta-app-client-tool",
            daemon=True,
        ).start()

    def _run(self, loop: Loop, handler: ToolHandler, call: Message) -> None:
        try:
            output = handler(call)
        except BaseException as error:  # noqa: BLE001 - a thread has nobody above it
            self._ended(loop, call, error)
            return
        if not inspect.isawaitable(output):
            self._answer(call, output)
            return
        context = contextvars.copy_context()
        try:
            loop.from_thread(lambda: self._await(loop, context, call, lambda _: output))
        except RuntimeError as error:
            if inspect.iscoroutine(output):
                output.close()
            self._ended(loop, call, error)

    def _await(
        self,
        loop: Loop,
        context: contextvars.Context,
        call: Message,
        handler: Callable[[Message], Any],
    ) -> None:
        async def run() -> None:
            try:
                output = await handler(call)
            except BaseException as error:
                self._ended(loop, call, error)
                # A cancelled task has to end as one. SystemExit would end the whole loop.
                if not isinstance(error, (Exception, SystemExit)):
                    raise
            else:
                self._answer(call, output)

        loop.spawn(run, context)

    def _answer(self, call: Message, output: Any) -> None:
        try:
            if isinstance(output, str):
                output = {"content": [{"type": "text", "text": output}]}
            if not isinstance(output, Mapping):
                kind = type(output).__name__
                raise TypeError(f"the tool returned {kind}; expected text or a mapping")  # noqa: TRY301
            text = encode(output)
        except Exception as error:  # noqa: BLE001 - any failure is the tool's answer
            self._failed(call, error, str(error))
        else:
            self._native.answer_tool(call["request_id"], text, None)

    def _ended(self, loop: Loop, call: Message, error: BaseException) -> None:
        """Answers for a tool that did not return: without an answer the turn would hang."""
        if isinstance(error, (loop.cancelled, GeneratorExit)):
            # Whoever cancelled knows; it is no error of the tool.
            self._native.answer_tool(call["request_id"], None, "the tool was cancelled")
        elif isinstance(error, (SystemExit, KeyboardInterrupt)):
            self._failed(call, error, "the tool exited")
        else:
            self._failed(call, error, str(error))

    def _failed(self, call: Message, error: BaseException, text: str) -> None:
        self.errors += 1
        name = json.dumps(call.get("tool_name"))
        logger.error("the external tool %s raised", name, exc_info=error)
        self._native.answer_tool(call["request_id"], None, text or type(error).__name__)
