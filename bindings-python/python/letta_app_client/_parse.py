"""From JSON text of the server to plain values, whatever numbers are in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["parse"]


def parse(text: str) -> Any:
    """Parses JSON text.

    Python refuses integers above 4,300 digits, because of the time that they take. They are no
    reason to refuse all the rest of a frame: each is a ``Decimal``, which takes no such time.

    Raises:
        ValueError: The text is not JSON, or nested too deeply. Frames never are; what a model
            writes into a text of theirs may be.
    """
    try:
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            raise
        except ValueError:
            return json.loads(text, parse_int=_number)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _number(digits: str) -> int | Decimal:
    try:
        return int(digits)
    except ValueError:
        from decimal import Decimal  # noqa: PLC0415 - such numbers are rare, and it takes a while

        return Decimal(digits)
