"""Runs functions of users that have to answer: tools, and handlers of permission questions."""

from __future__ import annotations

import contextvars
import functools
import inspect
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable
from typing import Any, ClassVar, TypeVar

from ._loops import Loop, logger
from ._raised import is_cancellation
from ._said import said

__all__ = ["Job", "Jobs", "Later"]

T = TypeVar("T")


def _is_async(function: object) -> bool:
    """Whether calling it does nothing but make a coroutine."""
    while isinstance(function, functools.partial):
        function = function.func
    # Of the type: that is where Python looks for it, and functions have a plain one.
    call = type(function).__call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _drop(output: object) -> None:
    """Lets go of what nobody will await, without the warning that it never was."""
    if inspect.iscoroutine(output) or isinstance(output, Later):
        output.close()


class Later(Awaitable[T]):
    """What comes of something that is awaited later, if it is."""

    def __init__(
        self, inner: Awaitable[T], work: Callable[[Awaitable[T]], Coroutine[Any, Any, T]]
    ) -> None:
        """``work`` awaits ``inner``."""
        self._inner, self._work = inner, work

    def __await__(self) -> Generator[Any, Any, T]:
        return self._work(self._inner).__await__()

    def close(self) -> None:
        """Nobody will await it."""
        _drop(self._inner)


class Jobs:
    """The calls of one kind that run, each under a key."""

    def __init__(self) -> None:
        self._running: dict[Hashable, Job] = {}
        self.errors = 0

    def start(self, key: Hashable, job: Job) -> None:
        """Runs a job."""
        self._running[key] = job
        job.run(self, key)

    def over(self, key: Hashable) -> None:
        """Nobody wants the answer any more: a coroutine is cancelled, a thread is left alone."""
        job = self._running.pop(key, None)
        if job is not None:
            job.cancel()

    def ended(self, key: Hashable, job: Job) -> None:
        """A job has answered."""
        # A thread that was left alone ends when it likes; its key may be another job's by then.
        if self._running.get(key) is job:
            self._running.pop(key, None)


class Job(ABC):
    """One call of a user's function, answered exactly once unless it is cancelled before.

    A coroutine function runs on the loop, any other in a thread of its own; what that returns is
    awaited on the loop where it can be.
    """

    what: ClassVar[str]
    """What the function is called in answers."""

    def __init__(
        self,
        loop: Loop,
        function: Callable[[Any], Any],
        argument: Any,
        context: contextvars.Context,
    ) -> None:
        self._loop = loop
        self._function = function
        self._argument = argument
        self._context = context.copy()
        self._over = False
        self._awaited: Any = None
        self._cancel: Callable[[], object] | None = None

    @abstractmethod
    def label(self) -> str:
        """What the function is called in the log."""

    @abstractmethod
    def encode(self, output: Any) -> str:
        """Writes what the function returned as JSON; raises when it is not usable."""

    @abstractmethod
    def send(self, answer: str | None, error: str | None) -> None:
        """Sends the answer, or the text of an error."""

    def is_failure(self, _output: object) -> bool:
        """Whether the output is one that counts as if the function had raised."""
        return False

    def describe(self, error: BaseException) -> str:
        """Says in an answer what the function raised."""
        return said(error)

    def run(self, jobs: Jobs, key: Hashable) -> None:
        """Calls the function."""
        self._jobs, self._key = jobs, key
        try:
            self._start()
        except RuntimeError as error:
            # The process may have no more threads.
            self._raised(error)

    def _start(self) -> None:
        if _is_async(self._function):
            self._spawn(lambda: self._function(self._argument), self._context)
            return
        # Not a pool: a function that hangs must hold up neither others nor the exit.
        threading.Thread(
            target=self._context.run,
            args=(self._in_thread,),
            name="letta-app-client-job",
            daemon=True,
        ).start()

    def cancel(self) -> None:
        """Gives up the answer, and cancels what runs on the loop."""
        self._over = True
        if self._cancel is not None:
            self._cancel()
        _drop(self._awaited)

    def _in_thread(self) -> None:
        try:
            output = self._function(self._argument)
        except BaseException as error:  # noqa: BLE001 - a thread has nobody above it
            self._raised(error)
            return
        if not inspect.isawaitable(output):
            self._returned(output)
            return
        context = contextvars.copy_context()
        try:
            self._loop.from_thread(lambda: self._await(output, context))
        except RuntimeError as error:
            _drop(output)
            self._raised(error)

    def _await(self, output: Any, context: contextvars.Context) -> None:
        if self._over:
            _drop(output)
        else:
            self._awaited = output
            self._spawn(lambda: output, context)

    def _spawn(self, call: Callable[[], Any], context: contextvars.Context) -> None:
        async def run() -> None:
            self._awaited = None
            try:
                output = await call()
            except BaseException as error:
                self._raised(error)
                # A cancelled task has to end as one. SystemExit would end the whole loop, and the
                # rest was answered for.
                if isinstance(error, (self._loop.cancelled, KeyboardInterrupt)):
                    raise
            else:
                self._returned(output)

        self._cancel = self._loop.spawn(run, context)

    def _returned(self, output: Any) -> None:
        try:
            text = self.encode(output)
        except Exception as error:  # noqa: BLE001 - any failure is an answer
            self._failed(error, said(error))
        else:
            if self.is_failure(output):
                self._jobs.errors += 1
            self._answer(text, None)

    def _raised(self, error: BaseException) -> None:
        """Answers for a function that did not return: without an answer the turn would hang."""
        if isinstance(error, GeneratorExit) or is_cancellation(error, self._loop.cancelled):
            # Whoever cancelled knows; it is no error of the function.
            self._answer(None, f"{self.what} was cancelled")
        elif isinstance(error, (SystemExit, KeyboardInterrupt)):
            self._failed(error, f"{self.what} exited")
        else:
            self._failed(error, self.describe(error))

    def _failed(self, error: BaseException, text: str) -> None:
        self._jobs.errors += 1
        logger.error("%s failed", self.label(), exc_info=error)
        self._answer(None, text)

    def _answer(self, answer: str | None, error: str | None) -> None:
        self._jobs.ended(self._key, self)
        if not self._over:
            self._over = True
            self.send(answer, error)
