"""Changes of a file on the server (protocol section 20.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType

from . import _families
from ._backlog import MAX_ITEMS
from ._filters import Wanted
from ._link import Link
from ._subscription import Inbox
from ._uncopied import Uncopied
from .messages import Message
from .protocol import FileChangedMessage

__all__ = ["FileChanges", "Files"]


class Files(_families.Files):
    """The commands of the family ``files``: ``client.files``; see ``Family``."""

    __slots__ = ()

    def changes(self, path: str) -> FileChanges:
        """Watches a file by its absolute path.

        Sends ``watch_file``, which has no response: nothing says so if a path cannot be watched.
        Use it with ``async with``, which ends the watching.

        Raises:
            InvalidCommand: The path is not a string.
            Disconnected: There is no connection.
            ClientClosed: The client was closed.
        """
        return FileChanges(self._link, path)


class FileChanges(Uncopied, AsyncIterator[FileChangedMessage]):
    """The changes of one file, from the moment it was made; ``client.files.changes`` makes it.

    ``async with client.files.changes(path) as changes: async for change in changes: …``. Leaving
    the block, ``aclose``, or dropping it sends ``unwatch_file``. It ends when the client is closed,
    and raises ``Disconnected`` when the connection is lost and not opened again. After a reconnect
    it goes on; changes in between are not reported. Cancelling a task that waits loses no change.
    """

    def __init__(self, link: Link, path: str) -> None:
        """Use ``client.files.changes``."""
        self._open = False
        self._native = link.native
        self._path = path
        wanted = Wanted("file_changed", None)

        def is_mine(message: Message) -> bool:
            return wanted(message) and message.get("path") == path

        # Before it is watched: the first change may come at once.
        self._inbox = Inbox(link, is_mine, MAX_ITEMS)
        try:
            link.watch(path)
        except BaseException:
            self._inbox.leave()
            raise
        self._open = True

    @property
    def path(self) -> str:
        """The file."""
        return self._path

    @property
    def dropped(self) -> int:
        """How many changes were dropped, the oldest first, because they were not read."""
        return self._inbox.dropped

    def __aiter__(self) -> FileChanges:
        return self

    async def __anext__(self) -> FileChangedMessage:
        change = await self._inbox.next()
        if not isinstance(change, FileChangedMessage):
            raise StopAsyncIteration
        return change

    async def aclose(self) -> None:
        """Ends it: ``unwatch_file``. Does not wait."""
        self._leave()

    async def __aenter__(self) -> FileChanges:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        if not self._open:
            return
        self._open = False
        self._inbox.leave()
        self._native.unwatch_file(self._path)

    def __del__(self) -> None:
        self._leave()
