"""A client that nobody has closed, at its end."""

from __future__ import annotations

import warnings

from ._bridge import Bridge

__all__ = ["Unclosed"]


class Unclosed:
    """A client of an event loop, which has it while it runs: it warns when it goes and is open.

    That is when the loop is closed, or when the interpreter exits. The connection ends then. A
    blocking client is nobody's but the program's, and closed when it is dropped.
    """

    _bridge: Bridge

    def __del__(self) -> None:
        bridge = getattr(self, "_bridge", None)
        if bridge is not None and bridge.is_left_open:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
