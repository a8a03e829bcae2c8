"""Options that are more than one value."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ._checks import expect, expect_text

__all__ = ["TlsOptions"]


@dataclass(frozen=True)
class TlsOptions:
    """Which certificates to accept on ``wss:`` and ``https:``.

    Attributes:
        ca: Certificates to trust instead of the system's: PEM text, or the path of a PEM file.
        verify: Whether the server's certificate is checked. Turn it off for experiments only.

    Raises:
        InvalidOption: One of them is of another type.
    """

    ca: str | os.PathLike[str] | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        if self.ca is not None:
            expect("tls.ca", self.ca, "PEM text or a path", (str, os.PathLike))
            expect_text("tls.ca", os.fspath(self.ca))
        # Anything else is a misunderstanding, and this one would be an expensive one.
        expect("tls.verify", self.verify, "True or False", (bool,))
