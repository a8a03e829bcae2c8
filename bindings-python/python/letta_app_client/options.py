"""Options that are more than one value."""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["TlsOptions"]


@dataclass(frozen=True)
class TlsOptions:
    """Which certificates to accept on ``wss:`` and ``https:``.

    Attributes:
        ca: Certificates to trust instead of the system's: PEM text, or the path of a PEM file.
        verify: Whether the server's certificate is checked. Turn it off for experiments only.
    """

    ca: str | os.PathLike[str] | None = None
    verify: bool = True
