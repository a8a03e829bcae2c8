"""Ctrl-C while a blocking call waits, and not in between."""

from __future__ import annotations

import asyncio
import functools
import inspect
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

try:
    # The public functions make enumerations of what these give, which takes longest of all.
    import _signal  # type: ignore[import-not-found]
except ImportError:
    _signal = signal

__all__ = ["Interrupts"]

_SIGINT = int(signal.SIGINT)
_RUNNER: type | None = getattr(asyncio, "Runner", None)  # from Python 3.11 on


class Interrupts:
    """Lets SIGINT interrupt what waits, and puts it off while the client's own code runs.

    An interrupt at any line of that code could lose what the engine has just delivered. Only the
    main thread is interrupted; in others this does nothing. A handler of the program's own is
    called as ever, only not at such a moment.
    """

    __slots__ = ("_arrived", "_aside", "_before", "_held", "_reaction")

    def __init__(self, aside: Callable[[], None] | None = None) -> None:
        """Takes what is to be done before a handler of the program's own is called."""
        self._aside = aside
        self._before: Any = None
        self._reaction: Callable[..., Any] | None = None
        self._held = True
        self._arrived: int | None = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            before = _signal.getsignal(_SIGINT)
            if callable(before):
                try:
                    _signal.signal(_SIGINT, self._take)
                except ValueError:
                    return self  # not the thread that gets signals, whatever it is called
                self._before, self._reaction = before, _raising(before)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._reaction is not None:
            _signal.signal(_SIGINT, self._before)
            self._react()

    def waiting(self, wait: Callable[[], None]) -> None:
        """Calls what waits, which may be interrupted; so may this, before and after."""
        if self._reaction is None:
            wait()
            return
        self._held = False
        try:
            self._react()
            wait()
        finally:
            self._held = True

    def _take(self, number: int, _: FrameType | None) -> None:
        self._arrived = number
        if not self._held:
            self._react()

    def _react(self) -> None:
        arrived, self._arrived = self._arrived, None
        if arrived is not None and self._reaction is not None:
            # What follows, up to the end of the wait, is the client's own code again.
            self._held = True
            if self._aside is not None and self._reaction is not signal.default_int_handler:
                self._aside()
            # Trio asks the frame, which by now is this one, whether it may be interrupted.
            self._reaction(arrived, inspect.currentframe())
            self._held = False


def _raising(handler: Callable[..., Any]) -> Callable[..., Any]:
    """What is to be called for an interrupt.

    ``asyncio.run`` only cancels its main task, which would not notice before the blocking call has
    ended by itself.
    """
    method = handler.func if isinstance(handler, functools.partial) else handler
    owner = getattr(method, "__self__", None)
    of_asyncio = _RUNNER is not None and isinstance(owner, _RUNNER)
    return signal.default_int_handler if of_asyncio else handler
