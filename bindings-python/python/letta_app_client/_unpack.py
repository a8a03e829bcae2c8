"""``Unpack``, also while a program runs: whoever reads type hints has to find it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

__all__ = ["Unpack"]

if TYPE_CHECKING:
    from typing_extensions import Unpack
elif sys.version_info >= (3, 11):
    from typing import Unpack
else:

    class Unpack:
        """Stands in for that of Python 3.11."""

        def __class_getitem__(cls, kind: Any) -> Any:
            """Gives the class of the keyword arguments as it is."""
            return kind
