"""Which frames somebody wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._checks import expect_text, runtime_ids
from ._decode import classes
from .errors import InvalidOption
from .messages import Fields, Message

__all__ = ["Wanted"]


class Wanted:
    """Frames of some types, of one runtime, or both. A frame of another type is not parsed."""

    def __init__(
        self, types: str | Iterable[str] | None, runtime: Mapping[str, Any] | None
    ) -> None:
        """Takes what handlers are registered with.

        Raises:
            InvalidOption: The types are no texts, or none, or the runtime is none.
        """
        self._kinds: frozenset[type[Message]] | None = None
        self._unknown: frozenset[str] = frozenset()
        self._runtime = runtime_ids(runtime)
        if types is not None:
            names = _names(types)
            kinds = classes()
            self._kinds = frozenset(kinds[name] for name in names if name in kinds)
            # Of types that the protocol has not got yet there is no class.
            self._unknown = names - kinds.keys()

    def __call__(self, message: Message) -> bool:
        """Whether it is one of them."""
        # One call for each frame that is wanted: there may be many.
        kinds = self._kinds
        if kinds is not None and type(message) not in kinds and not self._is_unknown(message):
            return False
        return self._runtime is None or self._is_of_runtime(message)

    def is_within(self, kinds: frozenset[type[Message]]) -> bool:
        """Whether it wants frames of these classes only."""
        return self._kinds is not None and not self._unknown and self._kinds <= kinds

    def _is_unknown(self, message: Message) -> bool:
        return bool(self._unknown) and type(message) is Message and message.type in self._unknown

    def _is_of_runtime(self, message: Message) -> bool:
        runtime = message.get("runtime")
        if not isinstance(runtime, Fields):
            return False
        return (runtime.get("agent_id"), runtime.get("conversation_id")) == self._runtime


def _names(types: str | Iterable[str]) -> frozenset[str]:
    if isinstance(types, str):
        types = (types,)
    if not isinstance(types, Iterable):
        raise InvalidOption(f"types: expected strings, got {type(types).__name__}")
    names = tuple(types)
    for name in names:
        expect_text("types", name)
    if not names:
        raise InvalidOption("types: expected at least one; None means all")
    return frozenset(names)
