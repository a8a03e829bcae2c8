"""Coroutines that run beside those that somebody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable

from .._loops import Loop, contained
from ._completion import BlockingCompletion

__all__ = ["OwnLoopTask", "StepTask"]


class OwnLoopTask:
    """A coroutine of the program's, such as a tool: on an event loop and in a thread of its own."""

    def __init__(self, function: Callable[[], Awaitable[None]]) -> None:
        self._function = function
        self._cancelled = False
        self._cancel: Callable[[], object] | None = None

    def run(self) -> None:
        contained(lambda: asyncio.run(self._run()))

    def cancel(self) -> None:
        self._cancelled = True
        if self._cancel is not None:
            # Its loop may have ended.
            with contextlib.suppress(RuntimeError):
                self._cancel()

    async def _run(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs is one
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if not self._cancelled:
            with contextlib.suppress(asyncio.CancelledError):
                await self._function()


class StepTask:
    """A coroutine of the client's own: one step whenever what it waits for is there.

    The steps are made by the threads that look for deliveries.
    """

    def __init__(self, awaitable: Awaitable[None], loop: Loop) -> None:
        self._awaitable = awaitable
        self._steps = _awaited(awaitable)
        self._loop = loop
        self._waits: BlockingCompletion | None = None
        self._cancelled = False
        self._begun = False
        self._over = False

    def step(self) -> None:
        """Goes on to the next wait, or to the end."""
        if self._over:
            return
        if self._waits is not None and not self._waits.done:
            return  # of what it waited for before it was cancelled
        self._waits = None
        try:
            if self._cancelled:
                self._cancelled = False
                # One that has not begun would warn that it never did.
                if inspect.iscoroutine(self._awaitable) and not self._begun:
                    self._awaitable.close()
                waits = self._steps.throw(self._loop.cancelled())
            else:
                self._begun = True
                waits = self._steps.send(None)
        except (StopIteration, self._loop.cancelled):
            self._over = True
        except BaseException:
            self._over = True
            raise
        else:
            self._waits = waits
            waits.then = self.step

    def cancel(self) -> None:
        """Raises what a cancelled task raises, where it waits."""
        self._cancelled = True
        waits, self._waits = self._waits, None
        if waits is not None:
            waits.then = None
            self._loop.soon(self.step)


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable
