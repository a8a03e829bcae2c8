"""Work that has to wait for other work of the same kind, on any loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from ._loops import Completion, Loop

__all__ = ["Lanes"]


class Lanes:
    """One piece of work at a time for each key, in the order of asking."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[Completion]] = {}

    async def enter(self, key: Hashable, loop: Loop) -> None:
        """Waits until all that entered before with the same key have left.

        Whoever is cancelled meanwhile has not entered.
        """
        queue = self._waiting.get(key)
        if queue is None:
            self._waiting[key] = deque()
            return
        completion = loop.completion()
        queue.append(completion)
        try:
            await completion.wait()
        except BaseException:
            if completion in queue:
                queue.remove(completion)
            else:
                self.leave(key)  # its turn came in the same moment
            raise

    def leave(self, key: Hashable) -> None:
        """Lets the next one in."""
        queue = self._waiting[key]
        if queue:
            queue.popleft().set_result(None)
        else:
            del self._waiting[key]
