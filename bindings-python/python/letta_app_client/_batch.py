"""What many turns came to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, overload
from weakref import WeakMethod

from ._plain import Plain
from ._prompt import Prompt
from ._rich import Rich
from ._usage import counted, summed
from .errors import ApprovalRequired, ClientClosed, LettaAppError, TurnError
from .results import TurnResult, Usage

if TYPE_CHECKING:
    from .approvals import ApprovalRequest

__all__ = ["Batch", "BatchItem", "kept"]

R_co = TypeVar("R_co", bound=TurnResult, covariant=True)


@dataclass(frozen=True)
class BatchItem(Plain, Generic[R_co]):
    """One prompt of a ``Batch`` and its outcome: a result, or an error.

    Attributes:
        prompt: What was said.
        agent_id: The agent that was asked.
        result: The result of the turn; ``None`` if it failed.
        error: Why there is no result. A ``TurnError`` has what is known of the turn.
    """

    prompt: Prompt
    agent_id: str
    result: R_co | None = None
    error: LettaAppError | None = None

    @property
    def text(self) -> str:
        """The agent's text; if the turn failed, what the agent had said by then."""
        known = self._known
        return "" if known is None else known.text

    @property
    def usage(self) -> Usage:
        """The token counts of the turn, even if it failed."""
        known = self._known
        return Usage() if known is None else known.usage

    def to_dict(self) -> dict[str, Any]:
        """Returns the item as plain data, ready for ``json.dumps``.

        An error is its ``code``, ``message`` and ``hint``, and the ``result`` where one is known.
        """
        plain = super().to_dict()
        if self.result is not None:
            plain["result"] = self.result.to_dict()
        if self.error is not None:
            plain["error"] = _told(self.error)
        return plain

    @property
    def _known(self) -> TurnResult | None:
        if isinstance(self.error, TurnError):
            return self.error.result
        return self.result


def _told(error: LettaAppError) -> dict[str, Any]:
    told: dict[str, Any] = {"code": error.code, "message": error.args[0], "hint": error.hint}
    if isinstance(error, TurnError):
        told["result"] = None if error.result is None else error.result.to_dict()
    return told


def kept(error: LettaAppError) -> LettaAppError:
    """Makes an error one that does not keep the client, which a kept batch would keep."""
    if isinstance(error, ApprovalRequired) and error._answer is not None:  # noqa: SLF001
        error._answer = _Weakly(error._answer)  # noqa: SLF001 - of this package
    return error.with_traceback(None)


class _Weakly:
    """Answers through a client, for as long as there is one."""

    def __init__(self, answer: Callable[[ApprovalRequest, Any], None]) -> None:
        self._answer = WeakMethod(answer)

    def __call__(self, request: ApprovalRequest, decision: Any) -> None:
        answer = self._answer()
        if answer is None:
            raise ClientClosed("the client of the turn no longer exists")
        answer(request, decision)


class Batch(Rich, Sequence[BatchItem[R_co]]):
    """What ``letta.map`` and ``letta.gather`` return: one ``BatchItem`` for each prompt, in order.

    ::

        for item in batch:
            print(item.prompt, "->", item.text if item.error is None else item.error)
    """

    __slots__ = ("_items",)
    _rich: ClassVar[str] = "batch"

    def __init__(self, items: Iterable[BatchItem[R_co]]) -> None:
        """Takes the items in order."""
        self._items = tuple(items)

    @property
    def results(self) -> tuple[R_co, ...]:
        """The results in order, without those that failed."""
        return tuple(item.result for item in self._items if item.result is not None)

    @property
    def errors(self) -> tuple[LettaAppError, ...]:
        """The errors of those that failed, in order."""
        return tuple(item.error for item in self._items if item.error is not None)

    @property
    def usage(self) -> Usage:
        """Token counts of all turns, summed; those that failed have been paid for as well.

        What turns share that the server has answered together counts once (``own_usage``).
        """
        # An item is there twice where a turn was gathered twice.
        items = {id(item): item for item in self._items}.values()
        return summed(counted(item._known) for item in items)  # noqa: SLF001 - of this module

    def to_dict(self) -> dict[str, Any]:
        """Returns the items as plain data, ready for ``json.dumps``."""
        return {"items": [item.to_dict() for item in self._items]}

    @overload
    def __getitem__(self, index: int) -> BatchItem[R_co]: ...
    @overload
    def __getitem__(self, index: slice) -> Batch[R_co]: ...

    def __getitem__(self, index: Any) -> Any:
        found = self._items[index]
        return Batch(found) if isinstance(index, slice) else found

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[BatchItem[R_co]]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == other._items if isinstance(other, Batch) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # results have none either

    def __repr__(self) -> str:
        return f"<Batch of {len(self)}, {len(self.errors)} failed>"
