"""Functions that users register, called one after the other, none able to disturb the others."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from typing import Any, Generic, ParamSpec

__all__ = ["Handlers", "logger"]

logger = logging.getLogger("letta_app_client")

P = ParamSpec("P")


class Handlers(Generic[P]):
    """The handlers of one kind, in the order of registration.

    Each runs with the context variables of the moment in which it was registered.
    """

    def __init__(self, name: str, changed: Callable[[], None] | None = None) -> None:
        self._name = name
        self._changed = changed
        # Replaced, never changed, so that a handler may register or leave while it is called.
        self._entries: tuple[tuple[Callable[P, Any], contextvars.Context], ...] = ()
        self.errors = 0

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, handler: Callable[P, Any]) -> Callable[[], None]:
        """Registers a handler and returns the function that removes it."""
        if not callable(handler):
            raise TypeError(f"{self._name}: expected a function, got {type(handler).__name__}")
        entry = (handler, contextvars.copy_context())
        self._entries = (*self._entries, entry)
        self._tell()

        def remove() -> None:
            self._entries = tuple(other for other in self._entries if other is not entry)
            self._tell()

        return remove

    def emit(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Calls every handler. Errors are logged and counted."""
        for handler, context in self._entries:
            try:
                # A copy, because the handler may cause the same event and would enter it again.
                context.copy().run(handler, *args, **kwargs)
            except Exception:
                self.errors += 1
                logger.exception("%s: a handler raised", self._name)

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed()
