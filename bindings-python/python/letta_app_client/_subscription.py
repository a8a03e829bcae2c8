"""Frames of the server as an async iterator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from ._backlog import MAX_BYTES, Backlog, Overflow, kept
from ._bridge import BATCH
from ._filters import Wanted
from ._link import Link
from ._loops import Completion, logger
from ._uncopied import Uncopied
from .errors import ClientClosed, Lagged, LettaAppError
from .messages import Message

__all__ = ["Inbox", "Subscription"]

M_co = TypeVar("M_co", bound=Message, covariant=True)


class Inbox:
    """Keeps the frames that somebody wants until they are read."""

    # Apart from what the user holds, so that a dropped subscription ends.

    def __init__(
        self,
        link: Link,
        wanted: Callable[[Message], bool],
        limit: int,
        max_bytes: int = MAX_BYTES,
        overflow: Overflow = "drop_oldest",
        *,
        of_connection: bool = False,
    ) -> None:
        self._link = link
        self._wanted = wanted
        self._frames = Backlog(limit, max_bytes, overflow)
        self._given = 0
        self._waiter: Completion | None = None
        self._reading = False
        self._over = False
        self._error: Callable[[], LettaAppError] | None = None
        self.of_connection = of_connection
        link.add(self)

    @property
    def dropped(self) -> int:
        """How many frames are missing."""
        return self._frames.dropped

    def put(self, message: Message) -> None:
        """Takes a frame if it is wanted."""
        if not self._wanted(message):
            return
        before = self.dropped
        self._frames.put(message)
        if not before and self.dropped:
            logger.warning(
                "a reader of messages is too slow: %d are waiting, and some were lost",
                len(self._frames),
            )
        self.wake()

    def lagged(self, count: int) -> None:
        """Takes note that frames, of any type, were lost before anybody could look at them."""
        # Of those that are never dropped none was.
        if not isinstance(self._wanted, Wanted) or not self._wanted.is_within(kept()):
            self._frames.lost(count)
            self.wake()

    def taken(self) -> list[Message]:
        """Returns what is there, without waiting."""
        return [self._frames.pop() for _ in range(len(self._frames))]

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
        self._link.bridge.check_waiter()
        if self._reading:
            raise RuntimeError("another task is already reading these messages")
        self._reading = True
        try:
            while not self._frames:
                if self._frames.is_over:
                    raise self._lagged()
                if self._over:
                    if self._error is not None:
                        raise self._error()
                    return None
                if is_over():
                    return None
                # While the loop still watches, the end comes behind the frames.
                if self._link.native.state == "closed" and not self._link.bridge.is_watched:
                    raise ClientClosed("the client is closed")
                if (gone := self._link.gone) is not None:
                    self.end(gone)
                    self._link.remove(self)
                    continue
                await self._wait()
            self._given += 1
            if self._given % BATCH == 0:
                await self._breathe()
            return self._frames.pop() if self._frames else None
        finally:
            self._reading = False

    def _lagged(self) -> Lagged:
        error = Lagged(
            f"a reader did not keep up: {self.dropped} messages are missing",
            hint="read faster, allow more to wait, or let the oldest be dropped",
        )
        error.dropped_count = self.dropped
        self.leave()
        self._frames.is_over = False
        return error

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


class Subscription(Uncopied, AsyncIterator[M_co], Generic[M_co]):
    """Frames of the server, from the moment it was made; ``AppServerClient.messages`` makes it.

    ``async with client.messages("turn_finished") as messages: async for message in messages: …``.
    It ends when the client is closed, and raises ``Disconnected`` when the connection is lost and
    not opened again, in both cases after the frames that had come; otherwise it goes on with the
    next connection. One that would wait after that raises ``Disconnected`` as well, unless
    ``connect`` was called and has not failed. So does one that waits when the first ``connect``
    fails; before that it waits for it, however long the program takes to call it. With
    ``overflow="raise"`` it raises ``Lagged`` when its reader does not keep up. One task at a time
    may read. Leaving the block, ``aclose``, or dropping it ends the keeping of frames; cancelling
    who waits loses none.
    """

    def __init__(
        self,
        link: Link,
        wanted: Callable[[Message], bool],
        limit: int,
        max_bytes: int = MAX_BYTES,
        overflow: Overflow = "drop_oldest",
    ) -> None:
        """Use ``AppServerClient.messages``."""
        self._inbox = Inbox(link, wanted, limit, max_bytes, overflow)

    @property
    def dropped(self) -> int:
        """How many frames are missing, because they were not read, or the loop was busy.

        A loop that was busy for so long that frames were lost before anybody looked at them counts
        frames of all types.
        """
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
