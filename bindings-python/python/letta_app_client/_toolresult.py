"""What a tool returned, as content for the model (protocol section 14)."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping
from typing import Any

from ._frames import frame_text, is_frame
from ._json import text_of
from ._jsonable import is_missing, jsonable, loaded_class

__all__ = ["error_result", "to_result"]

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


def to_result(output: Any) -> dict[str, Any]:
    """Makes the ``result`` of an answer.

    Text stays text; ``None`` is ``done``. Bytes that are a PNG, JPEG, GIF or WebP file, images of
    PIL and figures of matplotlib become images; other bytes are text where they are UTF-8, and
    otherwise base64 text that says so. Tables of pandas and polars become CSV, cut where they are
    long. A list that holds any of these becomes one part of content for each item. A mapping with
    the ``content`` of a result is taken as it is. Anything else becomes JSON text without white
    space: mappings, lists, sets, ranges, numbers, dataclasses, pydantic models, dates, durations,
    enums, arrays of numpy and pandas.

    A number that JSON does not have is the text ``NaN``, ``Infinity`` or ``-Infinity``, and what
    pandas has for a missing value ``<NA>`` or ``NaT``; inside of anything else they are null.

    Raises:
        TypeError: It is nothing of that.
        ValueError: It holds a whole number that is too long to be written.
    """
    if _is_result(output):
        return dict(output)
    if isinstance(output, (list, tuple)) and any(_is_rich(item) for item in output):
        return {"content": [_part(item) for item in output]}
    return {"content": [_part(output)]}


def error_result(text: str) -> dict[str, Any]:
    """Makes the ``result`` that says what went wrong."""
    return {"content": [_text(text)], "is_error": True}


def _is_result(output: Any) -> bool:
    if not isinstance(output, Mapping) or not output.keys() <= {"content", "is_error"}:
        return False
    content = output.get("content")
    if not isinstance(output.get("is_error", False), bool):
        return False
    return isinstance(content, list) and all(
        isinstance(part, Mapping) and part.get("type") in ("text", "image") for part in content
    )


def _is_rich(value: Any) -> bool:
    """Whether it is more than JSON could show."""
    if isinstance(value, (bytes, bytearray, memoryview)) or is_frame(value):
        return True
    return isinstance(value, _pictures())


def _pictures() -> tuple[Any, ...]:
    return (
        loaded_class("PIL.Image", "Image"),
        loaded_class("matplotlib.figure", "Figure"),
        loaded_class("matplotlib.axes", "Axes"),
    )


def _part(value: Any) -> dict[str, Any]:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _of_bytes(bytes(value))
    if isinstance(value, _pictures()):
        return _of_picture(value)
    return _text(frame_text(value) if is_frame(value) else _plain_text(value))


def _plain_text(value: Any) -> str:
    if is_missing(value):
        return str(value)
    plain = "done" if value is None else jsonable(value)
    if isinstance(plain, str):
        return plain
    if isinstance(plain, float) and not math.isfinite(plain):
        return json.dumps(plain)
    return text_of(plain, "result")


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _image(data: bytes, kind: str) -> dict[str, Any]:
    return {"type": "image", "data": base64.b64encode(data).decode(), "mimeType": kind}


def _of_bytes(data: bytes) -> dict[str, Any]:
    # A wrong image ends the whole turn on some servers, so an image has to look like one.
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            return _image(data, kind)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _image(data, "image/webp")
    try:
        # What marks the beginning of a file is no part of its text.
        return _text(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return _text(f"({len(data)} bytes as base64)\n{base64.b64encode(data).decode()}")


def _of_picture(value: Any) -> dict[str, Any]:
    image, _, axes = _pictures()
    if isinstance(value, image):
        return _of_image(value)
    return _of_figure(value.figure if isinstance(value, axes) else value)


def _of_figure(figure: Any) -> dict[str, Any]:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return _image(buffer.getvalue(), "image/png")


def _of_image(image: Any) -> dict[str, Any]:
    buffer = io.BytesIO()
    try:
        image.save(buffer, format="PNG")
    except OSError:
        # PNG has no such colours (CMYK, floating point).
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, format="PNG")
    return _image(buffer.getvalue(), "image/png")
