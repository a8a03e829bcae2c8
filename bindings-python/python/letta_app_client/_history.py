"""The stored messages of a conversation, to be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, overload

from ._rich import Rich
from .messages import Fields

__all__ = ["History"]


class History(Rich, Sequence[Fields]):
    """What ``Session.history`` returns: the latest messages, the oldest of them first.

    A notebook shows it as a conversation.
    """

    __slots__ = ("_messages",)
    _rich: ClassVar[str] = "messages"

    def __init__(self, messages: Iterable[Fields]) -> None:
        """Takes the messages in order."""
        self._messages = tuple(messages)

    @overload
    def __getitem__(self, index: int) -> Fields: ...
    @overload
    def __getitem__(self, index: slice) -> History: ...

    def __getitem__(self, index: Any) -> Any:
        found = self._messages[index]
        return History(found) if isinstance(index, slice) else found

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Fields]:
        return iter(self._messages)

    def __repr__(self) -> str:
        return f"<History of {len(self)} messages>"
