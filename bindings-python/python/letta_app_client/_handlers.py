"""Functions that users register, called one after the other, none able to disturb the others."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable
from typing import Any, Generic, ParamSpec

from ._jobs import _is_async
from ._loops import logger
from ._raised import is_exit

__all__ = ["Handlers", "expect_plain", "expect_taking", "problem_of_call"]

P = ParamSpec("P")


def expect_plain(name: str, handler: object) -> None:
    """Checks that a handler is a function that nobody would have to await.

    Raises:
        TypeError: It is not.
    """
    if not callable(handler):
        raise TypeError(f"{name}: expected a function, got {type(handler).__name__}")
    if _is_async(handler):
        raise TypeError(f"{name}: expected a plain function, got an async one, which nobody awaits")


def expect_taking(name: str, handler: Callable[..., object], takes: tuple[str, ...]) -> None:
    """Checks that a handler can be called with what it will be called with.

    Raises:
        TypeError: It cannot.
    """
    if (problem := problem_of_call(handler, takes)) is not None:
        raise TypeError(f"{name}: {problem}")


def problem_of_call(function: Callable[..., object], takes: tuple[str, ...]) -> str | None:
    """Why a function cannot be called with what it will be called with, if it cannot.

    Otherwise it would fail for every frame, where nobody waits for it. What does not tell its
    signature, as some functions that are written in C, is taken as it is.
    """
    try:
        signature = inspect.signature(function)
    except Exception:  # noqa: BLE001 - of the function's own, as an annotation that is not there
        return None
    try:
        signature.bind(*takes)
    except TypeError as error:
        return f"expected a function that can be called with {' and '.join(takes)}: {error}"
    return None


class Handlers(Generic[P]):
    """The handlers of one kind, in the order of registration.

    Each runs with the context variables of the moment in which it was registered.

    Attributes:
        entries: They, with those variables. Replaced, never changed, so that a handler may register
            or leave while it is called.
        errors: How many calls have failed.
    """

    __slots__ = ("_listen", "_name", "_takes", "entries", "errors")

    def __init__(
        self, name: str, *takes: str, listen: Callable[[bool], None] | None = None
    ) -> None:
        """Takes the name of the method that registers them.

        ``takes`` says what each is called with; ``listen`` is told of each that comes (``True``)
        and of each that goes.
        """
        self._name = name
        self._takes = takes
        self._listen = listen
        self.entries: tuple[tuple[Callable[P, Any], contextvars.Context], ...] = ()
        self.errors = 0

    def expect(self, handler: Callable[..., object]) -> None:
        """Checks a handler.

        Raises:
            TypeError: It is not a plain function that takes what it will be called with.
        """
        expect_plain(self._name, handler)
        expect_taking(self._name, handler, self._takes)

    def add(self, handler: Callable[P, Any]) -> Callable[[], None]:
        """Registers a handler and returns the function that removes it."""
        self.expect(handler)
        entry = (handler, contextvars.copy_context())
        self.entries = (*self.entries, entry)
        if self._listen is not None:
            self._listen(True)

        def remove() -> None:
            left = tuple(other for other in self.entries if other is not entry)
            if self._listen is not None and len(left) < len(self.entries):
                self._listen(False)
            self.entries = left

        return remove

    def emit(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Calls every handler. Errors are logged and counted; what ends the program goes on.

        ``CancelledError`` is an error here: nobody can have cancelled a plain function.
        """
        for handler, context in self.entries:
            try:
                # A copy, because the handler may cause the same event and would enter it again.
                context.copy().run(handler, *args, **kwargs)
            except BaseException as error:
                self.errors += 1
                if is_exit(error):
                    raise
                logger.exception("%s: a handler raised", self._name)
