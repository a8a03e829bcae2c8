"""What a function of the program meant by what it raised."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from typing import Any

__all__ = ["is_cancellation", "is_exit", "leaves"]


def is_exit(error: BaseException) -> bool:
    """Whether it is to end the program, or is an interrupt, alone or among others."""
    return any(isinstance(one, (SystemExit, KeyboardInterrupt)) for one in leaves(error))


def is_cancellation(error: BaseException, cancelled: type[BaseException]) -> bool:
    """Whether it is what a cancelled task raises, or a group of nothing else.

    A nursery or a task group that is cancelled raises such a group.
    """
    return all(isinstance(one, cancelled) for one in leaves(error))


def leaves(error: BaseException) -> Iterator[BaseException]:
    """It, or what is in it if it is a group."""
    if not isinstance(error, _group()):
        yield error
        return
    for one in error.exceptions:
        yield from leaves(one)


def _group() -> Any:
    """The class of groups; before Python 3.11 that of the package which anyio and trio use."""
    home = builtins if sys.version_info >= (3, 11) else sys.modules.get("exceptiongroup")
    return getattr(home, "BaseExceptionGroup", ())
