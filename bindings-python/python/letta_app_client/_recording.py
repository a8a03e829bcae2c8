"""The thread in which a function of the user's says how frames are written into a recording."""

from __future__ import annotations

import json
import threading

from . import _native
from ._json import encode
from ._loops import logger
from .options import Redactor

__all__ = ["serve"]


def serve(recording: _native.Recording, redactor: Redactor) -> None:
    """Asks the function about every frame, in a thread of its own, until the client is closed."""
    thread = threading.Thread(
        target=_run, args=(recording, redactor), name="letta-app-client-recording", daemon=True
    )
    thread.start()


def _run(recording: _native.Recording, redactor: Redactor) -> None:
    failed = False
    while (frame := recording.next()) is not None:
        direction, text = frame
        try:
            written = _redacted(redactor, direction, text)
        except BaseException:  # noqa: BLE001 - a thread has nobody above it
            # What was not looked at must not be written.
            if not failed:
                logger.exception(
                    "the redactor failed: a frame is left out of the recording; "
                    "the next ones are only counted (stats.unrecorded)"
                )
            failed = True
            recording.fail()
        else:
            recording.write(written)


def _redacted(redactor: Redactor, direction: str, text: str) -> str | None:
    written = redactor(json.loads(text), "send" if direction == "send" else "recv")
    return None if written is None else encode(written)
