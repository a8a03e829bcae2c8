"""Fixtures for pytest: ``mock_server`` and ``mock_servers``, there where the package is installed.

::

    def test_my_app(mock_server):
        assert my_app(url=mock_server.url) == "Hello world"

    def test_with_a_script(mock_servers):
        mock = mock_servers([script.turn("42")])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .server import MockServer

__all__ = ["mock_server", "mock_servers"]


@pytest.fixture
def mock_server() -> Iterator[MockServer]:
    """A server that answers every turn with ``Hello world``."""
    with MockServer() as server:
        yield server


@pytest.fixture
def mock_servers() -> Iterator[Callable[..., MockServer]]:
    """Makes servers, with the arguments of ``MockServer``, that are closed after the test."""
    servers: list[MockServer] = []

    def make(*arguments: object, **options: object) -> MockServer:
        servers.append(MockServer(*arguments, **options))  # type: ignore[arg-type]
        return servers[-1]

    yield make
    for server in servers:
        server.close()
