"""One call that waits for its one completion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _native
from ._decode import decode
from ._loops import Completion
from .errors import from_json
from .messages import Message

__all__ = ["Call", "Delivery", "Judge"]

Delivery = tuple[Any, ...]
"""What ``drain()`` gives: ``(kind, token, …)``."""

Judge = Callable[[Message], bool]
"""Says whether a frame is the answer to a request."""


class Call:
    """Completes a call with what comes for its token; a judge picks among candidates."""

    def __init__(
        self, native: _native.Connection, completion: Completion, judge: Judge | None = None
    ) -> None:
        self._native = native
        self._judge = judge
        self.completion = completion

    def take(self, delivery: Delivery) -> bool:
        """Takes what came for the call and says whether that ended the wait."""
        if delivery[0] == "candidate" and self._judge is not None:
            try:
                if not self._judge(decode(delivery[2])):
                    return False
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's
                self.completion.set_exception(error)
                self._native.cancel(delivery[1])
            else:
                self.completion.set_result(delivery)
                self._native.resolve(delivery[1])
        elif delivery[0] == "failed":
            self.completion.set_exception(from_json(delivery[2]))
        else:
            self.completion.set_result(delivery)
        return True
