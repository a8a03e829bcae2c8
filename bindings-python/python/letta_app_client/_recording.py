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
    while (frame := recording.next()) is not None:
        direction, text = frame
        recording.write(_redacted(redactor, direction, text))


def _redacted(redactor: Redactor, direction: str, text: str) -> str | None:
    try:
        frame = json.loads(text)
        written = redactor(frame, "send" if direction == "send" else "recv")
        return None if written is None else encode(written)
    except Exception:  # noqa: BLE001 - it is the user's
        # What was not looked at must not be written.
        logger.exception("the redactor failed: a frame is left out of the recording")
        return None
