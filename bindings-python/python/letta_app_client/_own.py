"""What a session and its open turns share, and what ends with the last of them."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from . import _native
from ._flight import Flight
from ._usage import counted, summed
from .results import Usage

__all__ = ["Own"]


class Own:
    """A session's tools and its hold on the conversation, and the turns that need them.

    The session has it, and so has every turn of it that is open: when nobody has it any more, the
    tools are answered no more, and the conversation is let go of.

    Attributes:
        usage: Token counts of the turns that have ended, summed; what they share counts once.
    """

    def __init__(
        self,
        native: _native.Connection,
        runtime: Mapping[str, Any],
        remove_tools: Callable[[], None] | None,
    ) -> None:
        """Holds the conversation: it is started again after a reconnect.

        Args:
            native: The connection.
            runtime: Agent and conversation.
            remove_tools: Removes the tools; it must not lead to a session.
        """
        ids = (str(runtime["agent_id"]), str(runtime["conversation_id"]))
        self.usage = Usage()
        self._open: set[Flight] = set()
        native.hold_runtime(*ids, True)
        self._let_go = weakref.finalize(self, _let_go, native, ids, remove_tools)
        self._let_go.atexit = False

    def sent(self, flight: Flight) -> None:
        """A turn was sent, which needs this to its end."""
        self._open.add(flight)
        flight.needs = self
        flight.watch(functools.partial(self._ended, flight))

    def stop(self) -> None:
        """Stops the turns that are open, from any thread."""
        for flight in tuple(self._open):
            flight.stop()

    def close(self) -> None:
        """Lets go of tools and conversation now."""
        self._let_go()

    def _ended(self, flight: Flight) -> None:
        self._open.discard(flight)
        known = flight.arrival or getattr(flight.error, "result", None)
        self.usage = summed((self.usage, counted(known)))


def _let_go(
    native: _native.Connection, ids: tuple[str, str], remove_tools: Callable[[], None] | None
) -> None:
    if remove_tools is not None:
        remove_tools()
    native.hold_runtime(*ids, False)
