"""How far many prompts are, for whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._jobs import _is_async
from ._loops import logger
from ._raised import is_exit
from .errors import InvalidOption

__all__ = ["Progress"]


class Progress:
    """A bar of tqdm, a function, or nothing."""

    def __init__(self, progress: Any, total: int) -> None:
        """Takes what was given as ``progress=``.

        Raises:
            InvalidOption: It is nothing of that, or tqdm is not installed.
        """
        self._done = 0
        self._total = total
        self._bar: Any = None
        self._call: Callable[[int, int], object] | None = None
        if callable(progress) and not _is_async(progress):
            self._call = progress
        elif progress is True:
            self._bar = _bar(total)
        elif progress is not None and progress is not False:
            kind = type(progress).__name__
            raise InvalidOption(f"progress: expected True, None or a plain function, got {kind}")

    def step(self) -> None:
        """One more is done. What the bar or the function raises is logged: the others go on."""
        self._done += 1
        try:
            if self._bar is not None:
                self._bar.update()
            if self._call is not None:
                self._call(self._done, self._total)
        except BaseException as error:  # noqa: BLE001 - raised again where it has to be
            _contain(error)

    def close(self) -> None:
        """No more will be done."""
        try:
            if self._bar is not None:
                self._bar.close()
        except BaseException as error:  # noqa: BLE001 - raised again where it has to be
            _contain(error)


def _contain(error: BaseException) -> None:
    """Logs what was raised, so that the others go on, unless it ends the program."""
    if is_exit(error):
        raise error
    logger.error("progress: the bar or the function raised", exc_info=error)


def _bar(total: int) -> Any:
    try:
        # Of the user's, where there is one; it also knows notebooks.
        from tqdm.auto import tqdm  # noqa: PLC0415
    except ImportError:
        raise InvalidOption(
            "progress: True needs the package tqdm", hint="install it, or pass a function"
        ) from None
    return tqdm(total=total, unit="prompt")
