"""What the log says of a client's connection."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ._loops import logger
from .errors import from_json

if TYPE_CHECKING:
    from .client import Disconnect, State, Stats
    from .errors import LettaAppError

__all__ = ["ConnectionLog"]


class ConnectionLog:
    """Tells of a connection that is lost, and what becomes of it. Tokens are in none of the texts.

    What the engine does by itself, or was told not to do, is information; that it has given up is a
    warning, and so is what was never sent or recorded.
    """

    def __init__(self) -> None:
        self._lost: float | None = None

    def lost(self, how: Disconnect) -> None:
        """A connection has ended that the program did not close."""
        if how.will_reconnect:
            self._lost = time.monotonic()
        logger.info(
            "the connection was lost and is %s (close code %d): %s",
            "being reopened" if how.will_reconnect else "not reopened",
            how.code,
            how.reason,
        )

    def changed(self, state: State, why: LettaAppError | None) -> None:
        """The client is in another state; of an attempt that failed it is known why."""
        if self._lost is None or state == "reconnecting":
            return
        seconds = time.monotonic() - self._lost
        if state == "open":
            logger.info("the connection is open again, after %.1f s", seconds)
        elif state == "disconnected":
            logger.warning("the client gave up reconnecting after %.1f s: %s", seconds, why)
        else:
            return
        self._lost = None

    def not_restored(self, agent: str, conversation: str, error: str) -> None:
        """A conversation is not all that it was on the connection before."""
        words = "%s of %s could not be fully restored: %s"
        logger.warning(words, conversation, agent, from_json(error))

    def unrecorded(self, reason: str) -> None:
        """The recording lacks lines; the engine tells each reason once."""
        logger.warning("%s", reason)

    def closed(self, stats: Stats) -> None:
        """The client is closed: what was never sent, and what is not in its recording."""
        if stats.unsent:
            words = "the client is closed, and commands that nobody waited for were not sent: %d"
            logger.warning(words, stats.unsent)
        if stats.unrecorded:
            words = "the client is closed, and lines are missing in its recording: %d"
            logger.warning(words, stats.unrecorded)
