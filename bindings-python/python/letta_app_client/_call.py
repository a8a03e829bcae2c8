"""What comes for a call, and how its answer is found among candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _native
from ._decode import decode
from ._loops import Completion
from .messages import Message

__all__ = ["Choice", "Delivery", "Judge"]

Delivery = tuple[Any, ...]
"""What ``drain()`` gives: ``(kind, token, …)``."""

Judge = Callable[[Message], bool]
"""Says whether a frame is the answer to a request."""


class Choice:
    """Completes a call with the first candidate that its judge takes, or with an error."""

    def __init__(self, native: _native.Connection, completion: Completion, judge: Judge) -> None:
        self._native = native
        self._completion = completion
        self._judge = judge

    def take(self, delivery: Delivery) -> bool:
        """Takes what came for the call and says whether more may come."""
        kind, token = delivery[:2]
        if kind != "candidate":
            self._completion.set_result(delivery)
            return False
        try:
            if not self._judge(decode(delivery[2])):
                return True
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's
            self._completion.set_result(("raised", token, [error]))
            self._native.cancel(token)
        else:
            self._completion.set_result(delivery)
            self._native.resolve(token)
        return False
