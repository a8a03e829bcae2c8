"""What is awaited, or used with ``async with``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar

__all__ = ["Pending"]


class _Closes(Protocol):
    async def close(self) -> None: ...


T = TypeVar("T", bound=_Closes)


class Pending(ABC, Generic[T]):
    """Gives something that is closed at the end of an ``async with``."""

    _given: T | None = None

    @abstractmethod
    async def _open(self) -> T: ...

    # Type checkers are not to take it for having any attribute.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            kind = type(self).__name__
            words = f"{kind!r} object has no attribute {name!r}"
            if not name.startswith("_"):
                words += ": it is not awaited yet, use `await` or `async with`"
            # Not with the name: Python would guess at another one behind this.
            raise AttributeError(words)

        def __enter__(self) -> NoReturn:
            words = "it is opened with `async with`; in the blocking flavour with `with`"
            raise TypeError(f"{type(self).__name__!r} object: {words} (letta_app_client.sync)")

        def __exit__(self, *_error: object) -> None:
            """Python looks for it before it calls the other."""

    def __await__(self) -> Generator[Any, Any, T]:
        return self._open().__await__()

    async def __aenter__(self) -> T:
        self._given = await self._open()
        return self._given

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._given is not None:
            await self._given.close()
