"""What a session and its open turns share, and what ends with the last of them."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from . import _native
from ._flight import Flight
from ._limits import DEFAULT
from ._usage import counted, summed
from .results import Usage

if TYPE_CHECKING:
    from .client import AppServerClient

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
        opening: str,
        remove_tools: Callable[[], None] | None,
    ) -> None:
        """Holds the conversation: it is started again after a reconnect.

        Args:
            native: The connection.
            runtime: Agent and conversation.
            opening: The ``request_id`` of its start.
            remove_tools: Removes the tools; it must not lead to a session.
        """
        ids = (str(runtime["agent_id"]), str(runtime["conversation_id"]))
        self.usage = Usage()
        self._open: set[Flight] = set()
        self._native, self._ids = native, ids
        native.hold_runtime(*ids, opening, True)
        self._let_go = weakref.finalize(self, _let_go, native, (*ids, opening), remove_tools)
        self._let_go.atexit = False

    @staticmethod
    def start(client: AppServerClient, fields: Mapping[str, Any]) -> Awaitable[Any]:
        """Starts the runtime of a session: what it does not say stays as it is."""
        command = {**fields, "type": "runtime_start"}
        return client._link.request(command, DEFAULT, check="opening")  # noqa: SLF001

    @property
    def mode(self) -> str | None:
        """The permission mode of the conversation, while a session of the client has it."""
        return self._native.mode_of(*self._ids)

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
    native: _native.Connection, ids: tuple[str, str, str], remove_tools: Callable[[], None] | None
) -> None:
    if remove_tools is not None:
        remove_tools()
    native.hold_runtime(*ids, False)
