"""Clients of an event loop that nobody has closed are told of, and no others."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable

import pytest

import letta_app_client as letta
from letta_app_client import sync
from letta_app_client.testing import MockServer


def on_asyncio(main: Callable[[], Awaitable[object]]) -> None:
    async def run() -> None:
        await main()

    asyncio.run(run())


def on_trio(main: Callable[[], Awaitable[object]]) -> None:
    pytest.importorskip("trio").run(main)


def on_uvloop(main: Callable[[], Awaitable[object]]) -> None:
    async def run() -> None:
        await main()

    loop = pytest.importorskip("uvloop").new_event_loop()
    try:
        loop.run_until_complete(run())
    finally:
        loop.close()


LOOPS = [on_asyncio, on_uvloop, on_trio]


def said(run: Callable[[], object]) -> list[tuple[type[Warning], str]]:
    """The warnings of what is run, and of what goes with it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
        gc.collect()
    # Those of event loops and servers are not of clients.
    told = [(warning.category, str(warning.message)) for warning in caught]
    return [(kind, text) for kind, text in told if "AppServerClient" in text]


@pytest.mark.parametrize("on_loop", LOOPS)
def test_a_client_that_was_never_closed_is_told_when_its_loop_ends(
    mock: MockServer, on_loop: Callable[..., None]
) -> None:
    async def main() -> None:
        client = await letta.connect(mock.url)
        await client.info()

    expected = [(ResourceWarning, "unclosed <AppServerClient open>")]
    assert said(lambda: on_loop(main)) == expected


@pytest.mark.parametrize("on_loop", LOOPS)
@pytest.mark.parametrize("way", ["with", "close", "close_nowait", "cut", "refused", "new"])
def test_no_other_client_is(mock: MockServer, on_loop: Callable[..., None], way: str) -> None:
    async def main() -> None:
        if way == "with":
            async with letta.connect(mock.url) as client:
                await client.info()
        elif way == "new":
            letta.create_app_server_client(letta.ConnectOptions(mock.url))
        elif way == "refused":
            with pytest.raises(letta.ConnectionFailed):
                await letta.connect("ws://127.0.0.1:1")
        else:
            client = await letta.connect(mock.url)
            if way == "cut":
                with pytest.raises(ZeroDivisionError):
                    async with client:
                        raise ZeroDivisionError
            elif way == "close":
                await client.close()
            else:
                client.close_nowait()

    assert said(lambda: on_loop(main)) == []


def test_a_blocking_client_is_closed_when_it_is_dropped(mock: MockServer) -> None:
    assert said(lambda: sync.connect(mock.url).info()) == []
