"""Turns that were sent already, waited for together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ._batch import Batch, BatchItem, kept
from ._checks import expect, kind_of
from ._flight import news
from ._progress import Progress
from .errors import InvalidOption
from .results import TurnResult
from .turn import Turn

__all__ = ["gather"]


async def gather(
    *turns: Turn,
    progress: Literal[True] | Callable[[int, int], object] | None = None,
    on_item: Callable[[int, BatchItem[TurnResult]], object] | None = None,
    check: bool = False,
) -> Batch[TurnResult]:
    """Waits for turns that were already sent, and returns their outcomes, in order.

    Like ``asyncio.gather``, for turns in any conversations, and with what ``letta.map`` returns::

        batch = await letta.gather(here.send("Check the tests."), there.send("Check the docs."))
        for item in batch:
            print(item.agent_id, "->", item.text if item.error is None else item.error)

    Sends nothing. Resolves when the last turn has ended. A turn that did not end normally is an
    item with an error, as in ``map``, although awaiting a turn from ``send`` gives its result.
    Cancelling stops every turn that has not ended.

    Args:
        *turns: What ``Session.send`` and ``AppServerClient.send_turn`` returned, of any clients of
            this event loop.
        progress: ``True`` for a tqdm bar, if tqdm is installed; or a function that is called on the
            loop's thread with how many turns have ended, normally or not, and how many there are.
            If it raises, that is logged.
        on_item: A function that is called on the loop's thread with each item as soon as its turn
            has ended, normally or not, behind its place among the turns, counted from 0. If it
            raises, that is logged.
        check: Whether the first turn that fails stops the others, and its error is raised. By
            default its item has the error, and the others go on, as with ``asyncio.gather`` and
            ``return_exceptions=True``.

    Raises:
        InvalidOption: An argument is not a turn, or ``progress`` or ``on_item`` has an unusable
            value. No turn is stopped.
        WrongLoop: A turn belongs to another event loop, or to one that has ended.
        ForkedProcess: A client was made before a fork.
        LettaAppError: With ``check``, what ``Session.run`` would raise for the first turn that
            failed. Otherwise nothing that concerns one turn is raised: its item has the error, such
            as ``TurnFailed``, ``TurnAborted`` or ``TurnInterrupted``.
    """
    given: tuple[object, ...] = turns
    wrong = next((kind_of(one) for one in given if not isinstance(one, Turn)), None)
    if wrong is not None:
        raise InvalidOption(
            f"turns: expected what send returned, got {wrong}",
            hint="pass several as gather(*turns); blocking ones need letta_app_client.sync.gather",
        )
    expect("check", check, "True or False", (bool,))
    for turn in turns:
        turn._flight.check()  # noqa: SLF001 - of this package
    shown = Progress(progress, len(turns), on_item)
    try:
        return await _gathered(turns, shown, check=check)
    finally:
        shown.close()


async def _gathered(turns: tuple[Turn, ...], shown: Progress, *, check: bool) -> Batch[TurnResult]:
    # One that is given twice has ended once, and is there twice.
    open_turns: dict[Turn, list[int]] = {}
    for index, turn in enumerate(turns):
        open_turns.setdefault(turn, []).append(index)
    items: dict[Turn, BatchItem[TurnResult]] = {}
    flights = {turn: turn._flight for turn in open_turns}  # noqa: SLF001
    try:
        while open_turns:
            for turn in [turn for turn in open_turns if flights[turn].is_over]:
                places = open_turns.pop(turn)
                items[turn] = _item(turn, check=check)
                for index in places:
                    shown.step(index, items[turn])
            if open_turns:
                await news([flights[turn] for turn in open_turns])
    except BaseException:
        for turn in open_turns:
            flights[turn].stop()
        raise
    return Batch(items[turn] for turn in turns)


def _item(turn: Turn, *, check: bool) -> BatchItem[TurnResult]:
    flight = turn._flight  # noqa: SLF001 - of this package
    error = flight.error
    if error is None and flight.result is not None:
        error = flight.unended(flight.result)
    if error is None:
        return BatchItem(turn.prompt, turn.agent_id, flight.result)
    if check:
        raise error
    return BatchItem(turn.prompt, turn.agent_id, error=kept(error))
