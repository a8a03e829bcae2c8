"""Iterates over what happens in a turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from ._flight import Flight
from ._uncopied import Uncopied
from .events import TurnFinished

__all__ = ["TurnStream"]

T_co = TypeVar("T_co", covariant=True)


class TurnStream(Uncopied, AsyncIterator[T_co], Generic[T_co]):
    """Events or pieces of text of a turn; ``Turn`` makes it.

    Leaving it before its end (``break``, an exception, ``aclose``) stops the turn on the server. So
    does dropping one of ``Session.stream`` or ``stream_text`` that nobody has begun to read.
    """

    # No async generator: those need hooks of the loop to be ended, which come late or never.

    def __init__(
        self,
        turn: object,
        flight: Flight,
        following: Callable[[], Awaitable[T_co | None]],
        now: Callable[[], T_co | None],
        *,
        owns: bool = False,
    ) -> None:
        """Use ``async for`` on a ``Turn``, or ``Turn.stream_text``."""
        # Kept, because a turn that is garbage lets go of its events.
        self._turn = turn
        self._flight = flight
        self._following = following
        # What is there already needs no waiting.
        self._now = now
        # Nobody else has the turn: without this nobody could stop it.
        self._owns = owns
        self._open = False
        self._over = False

    def __aiter__(self) -> TurnStream[T_co]:
        return self

    async def __anext__(self) -> T_co:
        if self._over:
            raise StopAsyncIteration
        # Who is refused neither ends the iteration nor begins one.
        self._flight.check_unread()
        if not self._open:
            self._open = True
            self._flight.followers.add(id(self))
        try:
            item = self._now()
            if item is not None:
                return item
            item = await self._following()
        except Exception:
            self._end()
            raise
        except BaseException:
            # An interrupt may come beside an event, where nobody waits; its traceback keeps the
            # stream.
            self._leave()
            raise
        if item is None or isinstance(item, TurnFinished):
            self._end()
        if item is None:
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        """Ends the iteration and stops the turn if it has not ended; waits for nothing.

        One that has not begun stops it as well, unless somebody else reads the turn's events.
        """
        self._leave(stops=not self._flight.is_followed)

    def _end(self) -> None:
        self._over = True
        if self._open:
            self._open = False
            self._flight.followers.discard(id(self))

    def _leave(self, *, stops: bool = False) -> None:
        if self._open or (not self._over and (stops or self._owns)):
            self._flight.stop()
        self._end()

    def __del__(self) -> None:
        self._leave()
