"""How far many prompts are, for whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._jobs import _is_async
from ._loops import logger
from ._raised import is_exit
from .errors import InvalidOption

if TYPE_CHECKING:
    from ._batch import BatchItem

__all__ = ["Progress"]


class Progress:
    """A bar of tqdm, a function, or nothing; and a function that gets each item, or none."""

    def __init__(self, progress: Any, total: int, on_item: Any = None) -> None:
        """Takes what was given as ``progress=`` and ``on_item=``.

        Raises:
            InvalidOption: One is nothing of that, or tqdm is not installed.
        """
        if on_item is not None and (not callable(on_item) or _is_async(on_item)):
            kind = _kind(on_item)
            raise InvalidOption(f"on_item: expected None or a plain function, got {kind}")
        self._on_item: Callable[[int, BatchItem[Any]], object] | None = on_item
        self._done = 0
        self._total = total
        self._bar: Any = None
        self._call: Callable[[int, int], object] | None = None
        if callable(progress) and not _is_async(progress):
            self._call = progress
        elif progress is True:
            self._bar = _bar(total)
        elif progress is not None and progress is not False:
            kind = _kind(progress)
            raise InvalidOption(f"progress: expected True, None or a plain function, got {kind}")

    def step(self, index: int, item: BatchItem[Any]) -> None:
        """One more is done. What a function or the bar raises is logged: the others go on.

        The item comes first: what is counted as done has been handed over.
        """
        self._done += 1
        try:
            if self._on_item is not None:
                self._on_item(index, item)
        except BaseException as error:  # noqa: BLE001 - raised again where it has to be
            _contain("on_item: the function raised", error)
        try:
            if self._bar is not None:
                self._bar.update()
            if self._call is not None:
                self._call(self._done, self._total)
        except BaseException as error:  # noqa: BLE001 - raised again where it has to be
            _contain(_PROGRESS, error)

    def close(self) -> None:
        """No more will be done."""
        try:
            if self._bar is not None:
                self._bar.close()
        except BaseException as error:  # noqa: BLE001 - raised again where it has to be
            _contain(_PROGRESS, error)


_PROGRESS = "progress: the bar or the function raised"


def _kind(value: object) -> str:
    return "an async one, which nobody awaits" if callable(value) else type(value).__name__


def _contain(words: str, error: BaseException) -> None:
    """Logs what was raised, so that the others go on, unless it ends the program."""
    if is_exit(error):
        raise error
    logger.error(words, exc_info=error)


def _bar(total: int) -> Any:
    try:
        # Of the user's, where there is one; it also knows notebooks.
        from tqdm.auto import tqdm  # noqa: PLC0415
    except ImportError:
        raise InvalidOption(
            "progress: True needs the package tqdm", hint="install it, or pass a function"
        ) from None
    return tqdm(total=total, unit="prompt")
