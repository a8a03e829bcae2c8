"""Frames of the server as an async iterator."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from ._bridge import BATCH
from ._link import Link
from ._loops import Completion, logger
from .errors import ClientClosed, LettaAppError
from .messages import Message

__all__ = ["Inbox", "Subscription"]

M_co = TypeVar("M_co", bound=Message, covariant=True)


class Inbox:
    """Keeps the frames that somebody wants until they are read."""

    # Apart from what the user holds, so that a dropped subscription ends.

    def __init__(self, link: Link, wanted: Callable[[Message], bool], limit: int) -> None:
        self._link = link
        self._wanted = wanted
        self._frames: deque[Message] = deque()
        self._limit = limit
        self._given = 0
        self._waiter: Completion | None = None
        self._reading = False
        self._over = False
        self._error: Callable[[], LettaAppError] | None = None
        self.dropped = 0
        link.add(self)

    def put(self, message: Message) -> None:
        """Takes a frame if it is wanted."""
        if not self._wanted(message):
            return
        if len(self._frames) == self._limit:
            if not self.dropped:
                logger.warning(
                    "a reader of messages lags: the oldest of %d are dropped", self._limit
                )
            self._frames.popleft()
            self.dropped += 1
        self._frames.append(message)
        self.wake()

    def taken(self) -> list[Message]:
        """Returns what is there, without waiting."""
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def end(self, error: Callable[[], LettaAppError] | None) -> None:
        """Takes note that no more will come, and why; what is there may still be read."""
        self._over = True
        self._error = error
        self.wake()

    def leave(self) -> None:
        """Nobody reads any more."""
        self._link.remove(self)
        self._frames.clear()
        self._error = None
        self._over = True
        self.wake()

    def wake(self) -> None:
        """Lets who waits look again."""
        if self._waiter is not None:
            self._waiter.set_result(None)

    async def next(self, is_over: Callable[[], bool] = lambda: False) -> Message | None:
        """Waits for a frame; ``None`` once there will be none."""
        self._link.bridge.check()
        if self._reading:
            raise RuntimeError("another task is reading these messages")
        self._reading = True
        try:
            while not self._frames:
                if self._over:
                    if self._error is not None:
                        raise self._error()
                    return None
                if is_over():
                    return None
                # While the loop still watches, the end comes behind the frames.
                if self._link.native.state == "closed" and not self._link.bridge.is_watched:
                    raise ClientClosed("the client is closed")
                await self._wait()
            self._given += 1
            if self._given % BATCH == 0:
                await self._breathe()
            return self._frames.popleft() if self._frames else None
        finally:
            self._reading = False

    async def _wait(self) -> None:
        self._waiter = self._link.bridge.enter().completion()
        try:
            await self._waiter.wait()
        finally:
            self._waiter = None

    async def _breathe(self) -> None:
        """Lets other tasks have their turn: a reader who finds frames ready never waits."""
        loop = self._link.bridge.enter()
        completion = loop.completion()
        loop.soon(lambda: completion.set_result(None))
        await completion.wait()


class Subscription(AsyncIterator[M_co], Generic[M_co]):
    """Frames of the server, from the moment it was made; ``AppServerClient.messages`` makes it.

    ``async with client.messages("turn_finished") as messages: async for message in messages: …``.
    It ends when the client is closed, and raises ``Disconnected`` when the connection is lost, in
    both cases after the frames that had come. One task at a time may read. Leaving the block,
    ``aclose``, or dropping it ends the keeping of frames; cancelling who waits loses none.
    """

    def __init__(self, link: Link, wanted: Callable[[Message], bool], limit: int) -> None:
        """Use ``AppServerClient.messages``."""
        self._inbox = Inbox(link, wanted, limit)

    @property
    def dropped(self) -> int:
        """How many frames were dropped, the oldest first, because they were not read."""
        return self._inbox.dropped

    def __aiter__(self) -> Subscription[M_co]:
        return self

    async def __anext__(self) -> M_co:
        message: Any = await self._inbox.next()
        if message is None:
            raise StopAsyncIteration
        return cast("M_co", message)

    async def aclose(self) -> None:
        """Ends it; what was not read is thrown away. Waits for nothing."""
        self._inbox.leave()

    async def __aenter__(self) -> Subscription[M_co]:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._inbox.leave()

    def __del__(self) -> None:
        inbox = getattr(self, "_inbox", None)
        if inbox is not None:
            inbox.leave()
