"""The package without an event loop: the same objects, whose methods block.

::

    from letta_app_client import sync as letta

    with letta.spawn_server() as server, letta.connect(server) as client:
        session = client.session(create_agent={"body": {"name": "helper"}}, cwd=".")
        for event in session.stream("List the TODOs"):
            print(event)
        print(session.run("Fix the first one").text)

It works in scripts, in any number of threads, and where an event loop runs already, as in
notebooks; several threads may use one client. A call that waits does so on the engine, which has
threads of its own: there is no event loop in the background.

What differs from ``letta_app_client``: what is awaited there returns its value here; ``connect``,
``spawn_server``, ``client.session`` and ``client.terminals.open`` give what is ready, which is
closed at the end of a ``with``; iterators are plain ones, and ``aclose`` is ``close``.
``Turn.result`` waits for the end of a turn, in place of ``await turn``; ``gather`` takes turns of
one client. A call that waits is not cancelled but interrupted, by Ctrl-C.

Ctrl-C, and the stop button of a notebook, interrupt what waits at once and stop its turn on the
server, even where ``asyncio.run`` would only cancel its main task.

Handlers (``on_message`` and others) are called in a thread of the client's own, one after the
other, and must not block: what others wait for comes behind them. Tools and functions that decide
on permissions run in threads of their own; an ``async def`` among them runs in an event loop that
is made for it.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, get_type_hints

from .. import __all__ as _everything
from .. import (
    _create,
    _families,
    _family,
    _gather,
    _map,
    _stream,
    _subscription,
    listings,
    terminals,
    watching,
)
from .. import client as _client
from .. import server as _server
from .. import session as _session
from .. import turn as _turn
from .._checks import expect_prompts, kind_of
from ..errors import InvalidOption
from ._faces import bare, called, face_class, run, shown
from ._loop import BlockingLoop
from ._words import blocking

AppServerClient = face_class(_client.AppServerClient)
FileChanges = face_class(watching.FileChanges)
OwnServer = face_class(_server.OwnServer)
Session = face_class(_session.Session)
Subscription = face_class(_subscription.Subscription)
Terminal = face_class(terminals.Terminal)
Turn = face_class(_turn.Turn)
TurnStream = face_class(_stream.TurnStream)

Family = face_class(_family.Family)
for _module in (_families, listings, terminals, watching):
    for _name in _module.__all__:
        _kind = getattr(_module, _name)
        if issubclass(_kind, _family.Family):
            globals()[_name] = face_class(_kind)

_NOT_NEEDED = {"Connecting", "Opening", "Spawning", "WrongLoop"}
"""What only those need who await."""

__all__ = sorted(set(_everything) - _NOT_NEEDED)  # noqa: PLE0605 - it is the other one's


_HINTS = {**globals(), "Connecting": AppServerClient, "Spawning": OwnServer}
"""What other modules name in type hints, and what it is here."""


def _like(original: Any) -> Any:
    def decorate(function: Any) -> Any:
        functools.update_wrapper(function, original, updated=())
        del function.__wrapped__
        function.__module__ = __name__
        function.__doc__ = blocking(original.__doc__, original.__name__)
        function.__signature__ = inspect.signature(original)
        # Resolved here: the names of the other module are not in this one.
        function.__annotations__ = get_type_hints(original, None, _HINTS, include_extras=True)
        return function

    return decorate


def _face(client: _client.AppServerClient) -> Any:
    """Gives a client its place outside of event loops."""
    bridge = client._bridge  # noqa: SLF001 - of this package
    loop = BlockingLoop(bridge.native.ring)
    bridge.settle(loop)
    return shown(client, loop)


@_like(_create.create_app_server_client)
def create_app_server_client(*args: Any, **options: Any) -> Any:
    return _face(_create.create_app_server_client(*args, **options))


@_like(_create.connect)
def connect(url: Any, **options: Any) -> Any:
    pending = _create.connect(bare(url), **options)
    face = _face(pending.client)
    run(pending, face._loop)  # noqa: SLF001 - of this package
    return face


@_like(_server.spawn_server)
def spawn_server(*args: Any, **options: Any) -> Any:
    loop = BlockingLoop()
    if options.get("on_log") is not None:
        options["on_log"] = called(options["on_log"], loop)
        loop.attend()
    return run(_server.spawn_server(*args, **options), loop)


def _call_outside(options: dict[str, Any], loop: BlockingLoop) -> None:
    """Has the program's functions called while other threads go on."""
    for name in ("progress", "on_item"):
        if callable(options.get(name)):
            options[name] = called(options[name], loop)


@_like(_map.map)
def map(client: Any, *args: Any, **options: Any) -> Any:  # noqa: A001 - as there
    if not isinstance(client, AppServerClient):
        raise InvalidOption(
            f"client: expected a blocking AppServerClient, got {kind_of(client)}",
            hint="for an async client, use letta_app_client.map",
        )
    loop = client._loop  # noqa: SLF001 - of this package
    _call_outside(options, loop)
    # Here, where Ctrl-C interrupts it and other threads go on: it may read a file, or ask a client.
    if args:
        args = (expect_prompts(args[0]), *args[1:])
    elif "prompts" in options:
        options["prompts"] = expect_prompts(options["prompts"])
    return shown(loop.run(lambda: _map.map(bare(client), *args, **options)), loop)


@_like(_gather.gather)
def gather(*turns: Any, **options: Any) -> Any:
    wrong = next((kind_of(turn) for turn in turns if not isinstance(turn, Turn)), None)
    if wrong is not None:
        raise InvalidOption(
            f"turns: expected what the send of a blocking client returned, got {wrong}",
            hint="pass several as gather(*turns); awaitable ones need letta_app_client.gather",
        )
    loops = {turn._loop for turn in turns}  # noqa: SLF001 - of this package
    if len(loops) > 1:
        # Whoever waits looks for the deliveries of one client.
        hint = "call gather once for each client"
        raise InvalidOption("turns: expected turns of one client", hint=hint)
    loop = loops.pop() if loops else BlockingLoop()
    _call_outside(options, loop)
    given = [bare(turn) for turn in turns]
    return shown(loop.run(lambda: _gather.gather(*given, **options)), loop)


def __getattr__(name: str) -> Any:
    if name not in _NOT_NEEDED:
        import letta_app_client  # noqa: PLC0415 - it is there by now

        return getattr(letta_app_client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
