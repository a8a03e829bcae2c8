"""Lists that come in pages, as async iterators (protocol section 19)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from . import _families
from ._checks import expect
from ._limits import Timeout
from .errors import InvalidOption
from .messages import Fields
from .protocol import CronRunLogEntry

__all__ = ["Agents", "Conversations", "Cron"]

PAGE = 50
"""How many entries are asked for at once."""

Fetch = Callable[[dict[str, Any]], Awaitable[list[Fields]]]


def _checked(page_size: int) -> int:
    expect("page_size", page_size, "a number", (int,))
    if page_size < 1:
        raise InvalidOption(f"page_size: expected a number above 0, got {page_size}")
    return page_size


async def _behind(fetch: Fetch, page_size: int) -> AsyncGenerator[Fields, None]:
    """Asks for what comes behind an id until nothing new comes."""
    query: dict[str, Any] = {"limit": _checked(page_size)}
    while True:
        page = await fetch(query)
        last = page[-1].get("id") if page else None
        # A server that does not know `after` gives the same page again.
        if last is None or last == query.get("after"):
            return
        for item in page:
            yield item
        query = {**query, "after": last}


class Agents(_families.Agents):
    """The commands of the family ``agents``: ``client.agents``; see ``Family``."""

    __slots__ = ()

    def all(
        self,
        *,
        query: Mapping[str, Any] | None = None,
        page_size: int = PAGE,
        timeout: Timeout = "default",
    ) -> AsyncGenerator[Fields, None]:
        """Iterates over all agents.

        Sends ``agent_list`` whenever a page is used up (section 20.2); ``list`` gives one page, of
        20 where nothing else is said. Cancelling drops a page only; leaving the loop asks for no
        more.

        Args:
            query: What the agents have to be like, as in the ``query`` of the command.
            page_size: How many agents to ask for at once.
            timeout: Seconds to wait for each page.

        Returns:
            An iterator over the agents, bodies of the Letta REST API.

        Raises:
            InvalidOption: ``page_size`` or ``timeout`` is not usable.
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """

        async def fetch(place: dict[str, Any]) -> list[Fields]:
            page = await self.list(query={**(query or {}), **place}, timeout=timeout)
            return page.agents

        return _behind(fetch, page_size)


class Conversations(_families.Conversations):
    """The commands of the family ``conversations``: ``client.conversations``; see ``Family``."""

    __slots__ = ()

    def all(
        self,
        *,
        query: Mapping[str, Any] | None = None,
        page_size: int = PAGE,
        timeout: Timeout = "default",
    ) -> AsyncGenerator[Fields, None]:
        """Iterates over all conversations; ``query={"agent_id": …}`` gives those of one agent.

        Sends ``conversation_list`` whenever a page is used up (section 20.3); ``list`` gives one
        page, of 20 where nothing else is said. Cancelling drops a page only; leaving the loop asks
        for no more.

        Args:
            query: What the conversations have to be like, as in the ``query`` of the command.
            page_size: How many conversations to ask for at once.
            timeout: Seconds to wait for each page.

        Returns:
            An iterator over the conversations, bodies of the Letta REST API.

        Raises:
            InvalidOption: ``page_size`` or ``timeout`` is not usable.
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """

        async def fetch(place: dict[str, Any]) -> list[Fields]:
            page = await self.list(query={**(query or {}), **place}, timeout=timeout)
            return page.conversations

        return _behind(fetch, page_size)

    async def messages(
        self,
        conversation_id: str,
        *,
        agent_id: str | None = None,
        before: str | None = None,
        page_size: int = PAGE,
        timeout: Timeout = "default",
    ) -> AsyncGenerator[Fields, None]:
        """Iterates over the stored messages of a conversation, newest first.

        Sends ``conversation_messages_list`` whenever a page is used up (section 20.3). Cancelling
        drops a page only; leaving the loop asks for no more. A server with two sockets does not say
        whether there is more: a page that brings nothing new is the end there.

        Args:
            conversation_id: The conversation.
            agent_id: Its agent, which the server needs for ``default``: an agent's default
                conversation has no id of its own.
            before: The id of a message; those before it are given.
            page_size: How many messages to ask for at once.
            timeout: Seconds to wait for each page.

        Yields:
            The messages, bodies of the Letta REST API.

        Raises:
            InvalidOption: ``page_size`` or ``timeout`` is not usable.
            RequestError: The server refused, for example because there is no such conversation.
            RequestTimeout: No answer in time.
        """
        _checked(page_size)
        while True:
            query: dict[str, Any] = {"limit": page_size}
            if before is not None:
                query["before"] = before
            if agent_id is not None:
                query["agent_id"] = agent_id
            page = await self.list_messages(
                conversation_id=conversation_id, query=query, timeout=timeout
            )
            oldest: Any = page.messages[-1].get("id") if page.messages else None
            if oldest is None or oldest == before:
                return
            for message in page.messages:
                yield message
            if page.has_more is False:
                return
            before = oldest


class Cron(_families.Cron):
    """The commands of the family ``cron``: ``client.cron``; see ``Family``."""

    __slots__ = ()

    async def all_runs(
        self, task_id: str, *, page_size: int = PAGE, timeout: Timeout = "default"
    ) -> AsyncGenerator[CronRunLogEntry, None]:
        """Iterates over the runs of a scheduled prompt.

        Sends ``cron_runs`` whenever a page is used up (section 20.9). Cancelling drops a page only;
        leaving the loop asks for no more.

        Args:
            task_id: The scheduled prompt.
            page_size: How many runs to ask for at once.
            timeout: Seconds to wait for each page.

        Yields:
            The entries of the log.

        Raises:
            InvalidOption: ``page_size`` or ``timeout`` is not usable.
            RequestError: The server refused.
            RequestTimeout: No answer in time.
        """
        _checked(page_size)
        offset: float | None = 0
        while offset is not None:
            response = await self.runs(
                task_id=task_id, limit=page_size, offset=offset, timeout=timeout
            )
            page = response.page
            if page is None:
                return
            for entry in page.entries:
                yield entry
            following = page.nextOffset if page.hasMore else None
            # A page that leads to itself would never end.
            offset = following if following is not None and following > offset else None
