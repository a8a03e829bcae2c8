"""One output that shows a turn while it runs, in the cell that sent it."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import _toolwatch
from .._loops import logger
from . import _front
from ._question import OPEN
from ._render import bundle
from ._story import Story

if TYPE_CHECKING:
    from ..turn import Turn

__all__ = ["LiveTurn"]

_SHORTEST = 0.1
"""Seconds between two updates at least."""

_TICK = 1.0
"""Seconds after which the time on the progress line is brought up to date."""

_SHARE = 0.1
"""The part of the time that updates may take: long answers are updated less often."""

_BYTES = 2_000_000
"""What a second of updates may send to the front end."""


class LiveTurn:
    """Follows a turn from a thread of its own, and publishes what is new.

    The events are taken from the engine without the program's loop, so the output goes on while a
    cell computes. The outcome comes with the loop, and is published in that very moment: whoever
    executes the notebook and waits for the turn has it in the saved cell.
    """

    def __init__(self, turn: Turn) -> None:
        """Takes a turn, whose events nobody else reads from now on."""
        self._turn = turn
        self._flight = turn._flight  # noqa: SLF001 - of this package
        self._story = Story()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._begun = time.monotonic()
        self._id = f"letta-{os.urandom(8).hex()}"
        self._shown: dict[str, str] = {}
        self._pause = _SHORTEST
        self._shell: Any = None
        self._publishers: list[Any] = []
        """Of the cells that it was put into; each may capture its own outputs when it ends."""
        self._pictures: list[tuple[str, Mapping[str, Any]]] = []

    def start(self) -> None:
        """Puts the output into this cell, and keeps it up to date until the turn has ended.

        A second time it is put into that cell as well; both are kept up to date.
        """
        publisher = _front.shell("turn.display()").display_pub
        if self._flight.shown is self:
            with self._lock:
                if not any(one is publisher for one in self._publishers):
                    self._publishers.append(publisher)
                _front.publish(publisher, self._shown, self._id, update=False)
            return
        self._flight.claim()
        self._flight.shown = self
        self._publishers.append(publisher)
        # The end is shown even where nobody waits for it.
        self._flight.attend()
        _toolwatch.watchers.append(self._tool_returned)
        with self._lock:
            self._read()
            self._publish(update=False)
        self._flight.watch(self._ended)
        if not self._over.is_set() and _front.kernel() is not None:
            # Of no cell: see ``publish``.
            threading.Thread(
                target=contextvars.Context().run,
                args=(self._follow,),
                name="letta-app-client-display",
                daemon=True,
            ).start()

    def _follow(self) -> None:
        shown = time.monotonic()
        while not self._over.wait(self._pause):
            with self._lock:
                if self._over.is_set():
                    return
                now = time.monotonic()
                if self._read() or now - shown >= _TICK:
                    shown = now
                    self._publish(update=True)

    def _ended(self) -> None:
        """Is called with the outcome, before anybody else learns of it."""
        flight = self._flight
        with self._lock:
            if self._over.is_set():
                return
            self._read()
            error = flight.error
            result = flight.result or getattr(error, "result", None)
            self._story.finish(result, "" if error is None else str(error))
            self._publish(update=True)
            self._over.set()
        if _front.kernel() is not None and not _front.is_attended():
            self._shell = _front.shell()
            self._shell.events.register("pre_run_cell", self._again)
        if self._tool_returned in _toolwatch.watchers:
            _toolwatch.watchers.remove(self._tool_returned)

    def _again(self, *_: object) -> None:
        """Publishes the end once more in the next cell.

        Programs that execute notebooks take outputs only while a cell runs, and the end may have
        come between two.
        """
        self._shell.events.unregister("pre_run_cell", self._again)
        for publisher in self._publishers:
            _front.publish(publisher, self._shown, self._id, update=True)

    def _tool_returned(self, call_id: str, result: Mapping[str, Any]) -> None:
        images = [one for one in result.get("content", ()) if one.get("type") == "image"]
        self._pictures += [(call_id, image) for image in images]

    def _read(self) -> bool:
        """Takes what has happened, and says whether it was anything."""
        events = self._flight.take_now()
        for event in events:
            self._story.take(event)
        known = {item.call_id for item in self._story.items if hasattr(item, "call_id")}
        mine = [one for one in self._pictures if one[0] in known]
        for one in mine:
            self._pictures.remove(one)
            self._story.picture(*one)
        return bool(events or mine)

    def _publish(self, *, update: bool) -> None:
        begun = time.monotonic()
        try:
            made = bundle(self._story, begun - self._begun, OPEN)
            if made != self._shown:
                self._shown = made
                for publisher in self._publishers:
                    _front.publish(publisher, made, self._id, update=update)
        except Exception:  # noqa: BLE001 - logged
            # The turn is more than what is seen of it.
            logger.exception("the output of a turn could not be updated")
        size = sum(len(text) for text in self._shown.values())
        took = time.monotonic() - begun
        self._pause = max(_SHORTEST, took / _SHARE, size / _BYTES)
