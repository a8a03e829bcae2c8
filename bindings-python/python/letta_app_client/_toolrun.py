"""Runs one call of a tool, on the loop or in a thread, to its result."""

from __future__ import annotations

import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from ._failure import Failure
from ._jobs import _drop, _is_async
from ._loops import logger, running_loop
from ._refusal import Refusal
from ._said import kind_and_said, said
from ._toolcontext import ToolContext
from ._toolresult import error_result, to_result
from .errors import WrongLoop

__all__ = ["run"]

_LONGEST = 1000


async def run(name: str, call: Callable[[], Any], context: ToolContext) -> dict[str, Any]:
    """Runs a tool and returns the ``result`` that answers for it, whatever it does.

    Args:
        name: The tool, for the log.
        call: Calls it.
        context: Learns of it when this is cancelled.

    Raises:
        WrongLoop: No asyncio or trio event loop is running.
    """
    try:
        output = call() if _is_async(call) else await _in_thread(name, call)
        return await _awaited(name, output) if inspect.isawaitable(output) else output
    except BaseException:
        # All that a tool raises is a result by now: the call itself was cancelled.
        context.cancelled.set()
        raise


async def _awaited(name: str, output: Awaitable[Any]) -> dict[str, Any]:
    try:
        return to_result(await output)
    except Exception as error:  # noqa: BLE001 - any failure is an answer
        return _failed(name, error)


async def _in_thread(name: str, call: Callable[[], Any]) -> Any:
    """Calls it in a thread of its own, and returns its result, or what it wants to be awaited.

    Not a pool: a tool that hangs must hold up neither others nor the exit.
    """
    loop = running_loop()
    if loop is None:
        raise WrongLoop("no asyncio or trio event loop is running")
    completion = loop.completion()
    outputs: list[Any] = []
    over = False

    def arrive(output: Any) -> None:
        if over:
            _drop(output)
            return
        outputs.append(output)
        completion.set_result(None)

    def work() -> None:
        output = _called(name, call)
        try:
            loop.from_thread(lambda: arrive(output))
        except RuntimeError:
            _drop(output)  # the loop has ended, and nobody waits

    threading.Thread(
        target=contextvars.copy_context().run,
        args=(work,),
        name="letta-app-client-tool",
        daemon=True,
    ).start()
    try:
        await completion.wait()
    except BaseException:
        over = True
        # What arrived in the same moment will not be awaited either.
        for output in outputs:
            _drop(output)
        raise
    return outputs[0]


def _called(name: str, call: Callable[[], Any]) -> Any:
    try:
        output = call()
        return output if inspect.isawaitable(output) else to_result(output)
    except BaseException as error:  # noqa: BLE001 - a thread has nobody above it
        return _failed(name, error)


def _failed(name: str, error: BaseException) -> dict[str, Any]:
    if isinstance(error, Refusal):
        return error_result(_cut(said(error)))
    logger.error("the tool %s failed", name, exc_info=error)
    return Failure(error_result(_cut(kind_and_said(error))))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
