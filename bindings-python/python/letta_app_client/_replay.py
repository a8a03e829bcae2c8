"""Recordings in place of a server."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from . import _native
from ._checks import expect

__all__ = ["Replay", "replay"]


@dataclass(frozen=True)
class Replay:
    """A recording that stands in for a server: ``connect(replay("run.letta.jsonl"))``.

    Attributes:
        path: The file.
        speed: 1 is as fast as it was recorded, 2 twice as fast, 0 as fast as possible.
        wait: Whether it waits, where the recorded program sent a command, for such a command.
        step_timeout: How long it waits for one, in seconds.
    """

    path: str | os.PathLike[str]
    speed: float = 0
    wait: bool = True
    step_timeout: float = 30

    def __post_init__(self) -> None:
        expect("replay", self.path, "a path", (str, os.PathLike))
        expect("replay.speed", self.speed, "a number", (int, float))
        expect("replay.wait", self.wait, "True or False", (bool,))
        expect("replay.step_timeout", self.step_timeout, "seconds", (int, float))

    def events(self) -> list[dict[str, Any]]:
        """Plays the file through the engine alone, without a socket and without waiting.

        The list is the same each time, and in all three languages.

        Returns:
            Objects with ``t_ms`` (the recording's clock) and ``type``: ``open`` and ``closed`` of a
            connection, ``sent`` and ``message`` with a ``frame``, and for each input, counted from
            1 (``turn``), ``turn_event`` with an ``event`` and at the end ``turn`` with a ``result``
            or ``turn_failed`` with an ``error``.

        Raises:
            InvalidOption: The file cannot be read as a recording.
        """
        events: list[dict[str, Any]] = json.loads(_native.replay_events(self.path))
        return events

    def __fspath__(self) -> str:
        return os.fspath(self.path)


def replay(
    path: str | os.PathLike[str], speed: float = 0, *, wait: bool = True, step_timeout: float = 30
) -> Replay:
    """Returns a recording that ``connect`` takes in place of a URL; nothing is sent anywhere.

    The client has its usual engine and sockets; at their other end, in this process, the file is
    played, line by line. What the server sent up to the recorded program's next command comes at
    once, or at the recorded pace; then such a command is waited for. So the program that was
    recorded, or one that does the same, sees the same again. Request ids and client message ids may
    differ. After the last line the connection ends.

    Args:
        path: A file of ``connect(record=...)``, or any in the same format; of several clients in it
            the first one is played.
        speed: 1 for the recorded pace, 2 for twice as fast, 0 for as fast as possible.
        wait: ``False`` for a program that only watches: the frames come whatever it sends.
        step_timeout: Seconds to wait for a command. Then the connection ends with code 4000, and
            the reason names the line of the file.

    Raises:
        InvalidOption: An option is of another type. What is wrong with the file is said by
            ``connect``.
    """
    return Replay(path, speed, wait, step_timeout)
