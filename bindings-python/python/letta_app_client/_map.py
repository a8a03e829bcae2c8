"""Many prompts at once, so many at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from ._batch import Batch, BatchItem, kept
from ._checks import expect, expect_prompt, expect_prompts, expect_texts, kind_of
from ._limits import grace
from ._loops import Completion
from ._progress import Progress
from ._prompt import Prompt
from ._settings import checked
from ._unpack import Unpack
from .client import AppServerClient
from .errors import Disconnected, InvalidOption, LettaAppError
from .results import TurnResult
from .session import MapSettings, Session, input_payload
from .tools import ToolSet

if TYPE_CHECKING:
    from ._output import Output
    from ._structured import StructuredResult

__all__ = ["map"]

T = TypeVar("T")


@overload
async def map(
    client: AppServerClient,
    prompts: Iterable[Prompt],
    *,
    agents: str | Iterable[str],
    limit: float = 8,
    progress: Literal[True] | Callable[[int, int], object] | None = None,
    on_item: Callable[[int, BatchItem[TurnResult]], object] | None = None,
    check: bool = False,
    **settings: Unpack[MapSettings],
) -> Batch[TurnResult]: ...
@overload
async def map(
    client: AppServerClient,
    prompts: Iterable[Prompt],
    *,
    agents: str | Iterable[str],
    output_type: type[T],
    limit: float = 8,
    progress: Literal[True] | Callable[[int, int], object] | None = None,
    on_item: Callable[[int, BatchItem[StructuredResult[T]]], object] | None = None,
    check: bool = False,
    **settings: Unpack[MapSettings],
) -> Batch[StructuredResult[T]]: ...
@overload
async def map(
    client: AppServerClient,
    prompts: Iterable[Prompt],
    *,
    agents: str | Iterable[str],
    output_type: Any,
    limit: float = 8,
    progress: Literal[True] | Callable[[int, int], object] | None = None,
    on_item: Callable[[int, BatchItem[StructuredResult[Any]]], object] | None = None,
    check: bool = False,
    **settings: Unpack[MapSettings],
) -> Batch[StructuredResult[Any]]: ...


async def map(
    client: AppServerClient,
    prompts: Iterable[Prompt],
    *,
    agents: str | Iterable[str],
    output_type: Any = None,
    limit: float = 8,
    progress: Literal[True] | Callable[[int, int], object] | None = None,
    on_item: Callable[[int, BatchItem[Any]], object] | None = None,
    check: bool = False,
    **settings: Unpack[MapSettings],
) -> Batch[Any]:
    """Sends many prompts, each in a conversation of its own, and waits for all of them.

    Each prompt sends ``runtime_start`` and then ``input``, and follows the turn (protocol sections
    8 and 17), as ``AppServerClient.session`` and ``Session.run`` do. The agents take turns: the
    first prompt goes to the first agent, the second to the second, and so on. Resolves when the
    last turn has ended. Cancelling stops every turn that is running, and starts no more. The
    conversations stay on the server. While the client is reconnecting, no further prompts begin;
    this lasts for at most ``recover_timeout`` seconds. A prompt that meets the loss of the
    connection before it was sent waits as well. For a prompt that cannot be sent no conversation
    is started.

    Args:
        client: A client that is connected.
        prompts: What is said: a list, or a column of a table.
        agents: The ids of the agents; a single id need not be in a list.
        output_type: What each agent has to submit, as for ``Session.run``.
        limit: How many turns run at once; ``math.inf`` for all.
        progress: ``True`` for a tqdm bar, if tqdm is installed; or a function that is called on the
            loop's thread with how many prompts are done, failed or not, and how many there are. If
            it raises, that is logged.
        on_item: A function that is called on the loop's thread with each item as soon as it is
            done, failed or not, behind its place among the prompts, counted from 0.
            So nothing that is done is lost with an interrupt, a cancellation or ``check``, all of
            which end this without a batch. If it raises, that is logged.
        check: Whether the first prompt that fails stops the others, and its error is raised. By
            default its item has the error, and the others go on.
        **settings: ``mode``, ``cwd``, ``tools``, ``create_conversation`` and ``fields`` as for
            ``AppServerClient.session``; limits, ``approvals`` and ``allow`` as for its turns.

    Raises:
        InvalidOption: An option or a setting is not usable. Nothing was sent.
        InvalidCommand: The conversations could not be started: ``mode`` is no mode, or something in
            ``create_conversation`` or ``fields`` is misspelt or of the wrong type. Nothing was
            sent.
        TypeError: There is no such setting, a function cannot be a tool, or JSON has no values of
            ``output_type``. Nothing was sent.
        ClientClosed: The client is closed. If it is closed or gives up connecting meanwhile, the
            items of the other prompts have the error.
        LettaAppError: With ``check``, the error of the first prompt that failed. Otherwise nothing
            that concerns one prompt is raised: its item has the error, such as ``TurnFailed``,
            ``RequestError``, ``StructuredOutputError`` or ``Disconnected``.
    """
    given: object = client
    if not isinstance(given, AppServerClient):
        raise InvalidOption(
            f"client: expected an AppServerClient, got {kind_of(given)}",
            hint="for a blocking client, use letta_app_client.sync.map",
        )
    asked = expect_prompts(prompts)
    known = [agents] if isinstance(agents, str) else expect_texts("agents", agents)
    if not known:
        raise InvalidOption("agents: expected the ids of agents, got none")
    if limit != math.inf:
        expect("limit", limit, "a whole number or math.inf", (Integral,))
    if limit < 1:
        raise InvalidOption(f"limit: expected a number above 0, got {limit}")
    expect("check", check, "True or False", (bool,))
    output = None
    if output_type is not None:
        from ._output import Output  # noqa: PLC0415 - for those who want one

        output = Output(output_type)
    shown = Progress(progress, len(asked), on_item)
    try:
        mapping = _Mapping(
            client, asked, known, output=output, progress=shown, settings=settings, check=check
        )
        return await mapping.run(int(min(limit, len(asked))))
    finally:
        shown.close()


_STARTS = ("mode", "cwd", "tools", "create_conversation", "fields")
"""The settings that are those of a session; the others are those of its turn."""

_OWN_OPTIONS = ("agents", "output_type", "limit", "progress", "on_item", "check")

_DAY = 86_400.0
"""No timer is set for longer."""


class _Mapping:
    """One run of ``map``: a few workers, each of which takes prompt after prompt."""

    def __init__(
        self,
        client: AppServerClient,
        prompts: list[Prompt],
        agents: list[str],
        *,
        output: Output | None,
        progress: Progress,
        settings: Mapping[str, Any],
        check: bool,
    ) -> None:
        self._client = client
        self._prompts = prompts
        self._agents = agents
        self._output = output
        self._progress = progress
        self._start = {name: settings[name] for name in _STARTS if name in settings}
        turns = {name: value for name, value in settings.items() if name not in _STARTS}
        self._settings = checked("map", turns, (*_STARTS, *_OWN_OPTIONS))
        # They count for every prompt, and a generator gives its items once.
        tools = settings.get("tools")
        if tools is not None:
            self._start["tools"] = ToolSet(tools)
        # They are most likely the same for all.
        for agent in dict.fromkeys(agents):
            client.session(agent_id=agent, **self._start).check()
        self._check = check
        self._items: dict[int, BatchItem[Any]] = {}
        self._open: set[Session] = set()
        self._running = 0
        self._stopped = False
        # Since when there has been no connection, as far as was seen.
        self._lost_at: float | None = None
        self._patience = grace("recover_timeout", settings.get("recover_timeout", 30))

    async def run(self, workers: int) -> Batch[Any]:
        """Runs the workers to the end of all prompts, or of the first error."""
        loop = self._client._bridge.enter()  # noqa: SLF001 - of this package
        if not self._prompts:
            return Batch(())
        # Set when all prompts are done or something went wrong; and after that by the last worker.
        self._settled, self._ended = loop.completion(), loop.completion()
        self._loop = loop
        queue = iter(enumerate(self._prompts))
        cancels = [loop.start(lambda: self._work(queue)) for _ in range(workers)]
        try:
            await self._until_settled()
        except BaseException:
            self._stop(cancels)
            # Nothing is left behind, unless whoever is cancelled cannot wait. One that has not
            # begun by now will not, or find that there is nothing to do.
            if self._running:
                await self._ended.wait()
            raise
        return Batch(self._items[index] for index in range(len(self._prompts)))

    async def _until_settled(self) -> None:
        errors = await self._settled.wait()
        if errors:
            raise errors.pop()

    def _stop(self, cancels: list[Callable[[], object]]) -> None:
        self._stopped = True
        for session in self._open:
            session._stop()  # noqa: SLF001 - at once; the tasks learn of it later
        for cancel in cancels:
            cancel()

    async def _work(self, queue: Iterator[tuple[int, Prompt]]) -> None:
        self._running += 1
        try:
            while not self._stopped and (following := next(queue, None)) is not None:
                index, prompt = following
                item = self._items[index] = await self._item(index, prompt)
                self._progress.step(index, item)
            if len(self._items) == len(self._prompts):
                self._settled.set_result([])
        except BaseException as error:
            self._settled.set_result([error])
            # A task that was cancelled has to end as one; all else is raised where it is awaited.
            if isinstance(error, self._loop.cancelled):
                raise
        finally:
            self._running -= 1
            if self._stopped and not self._running:
                self._ended.set_result(None)

    async def _opened(self, begin: Callable[[], Awaitable[T]]) -> T:
        """Begins again also where it is unknown: a conversation that nobody uses harms nobody."""
        return await self._patiently(begin, also_unknown=True)

    async def _patiently(
        self, begin: Callable[[], Awaitable[T]], *, also_unknown: bool = False
    ) -> T:
        """Begins once there is a connection, and again where it was lost before anything was sent.

        No longer than it would wait for one.
        """
        refused_at = None
        while True:
            is_over = await self._while_reconnecting()
            try:
                return await begin()
            except Disconnected as error:
                now = time.monotonic()
                refused_at = now if refused_at is None else refused_at
                is_safe = error.retryable or (also_unknown and error.will_reconnect)
                if not (is_over and is_safe and now - refused_at < self._patience):
                    raise

    async def _while_reconnecting(self) -> bool:
        """A prompt would fail at once then, and so would all behind it. Returns if it is over."""
        while self._client.state == "reconnecting":
            # All prompts together wait no longer than a turn would.
            now = time.monotonic()
            self._lost_at = now if self._lost_at is None else self._lost_at
            left = self._patience - (now - self._lost_at)
            if left <= 0:
                return False
            changed = self._loop.completion()

            def look(*_: object, changed: Completion = changed) -> None:
                changed.set_result(None)

            remove = self._client.on_state(look)
            cancel = self._loop.later(min(left, _DAY), look)
            try:
                if self._client.state == "reconnecting":
                    await changed.wait()
            finally:
                cancel()
                remove()
        self._lost_at = None
        return True

    async def _item(self, index: int, prompt: Prompt) -> BatchItem[Any]:
        agent = self._agents[index % len(self._agents)]
        try:
            result = await self._ask(agent, prompt)
        except InvalidOption:
            raise  # it would be so with every prompt
        except LettaAppError as error:
            if self._check:
                raise
            return BatchItem(prompt, agent, error=kept(error))
        return BatchItem(prompt, agent, result)

    async def _ask(self, agent: str, prompt: Prompt) -> TurnResult:
        # It is looked at twice, and some can be read once.
        content = expect_prompt(prompt)
        self._check_prompt(agent, content)
        opening = self._client.session(agent_id=agent, **self._start)
        session = await opening._step_by_step(self._opened)  # noqa: SLF001
        self._open.add(session)
        try:
            return await self._patiently(lambda: self._run(session, content))
        finally:
            self._open.discard(session)
            await session.close()

    def _check_prompt(self, agent: str, prompt: Prompt) -> None:
        """Refuses what a session would, before a conversation is started for it."""
        # Every agent has a conversation of that name.
        runtime = {"agent_id": agent, "conversation_id": "default"}
        command = {"type": "input", "runtime": runtime, "payload": input_payload(prompt)}
        self._client._native.check_command(command)  # noqa: SLF001 - of this package

    async def _run(self, session: Session, prompt: Prompt) -> TurnResult:
        if self._output is None:
            return await session.run(prompt, **self._settings)
        from ._structured import run_structured  # noqa: PLC0415

        before = session._inputs  # noqa: SLF001 - of this package
        try:
            return await run_structured(session, prompt, self._output, self._settings)
        except Disconnected as error:
            # Of the second turn: there was a first, which must not be asked again.
            if session._inputs - before > 1:  # noqa: SLF001 - of this package
                error.retryable = False
            raise
