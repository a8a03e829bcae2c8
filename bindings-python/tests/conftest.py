"""What the tests share: the event loops they run on, and servers of several kinds."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from letta_app_client.testing import MockServer

if TYPE_CHECKING:
    from tests.kernel import Kernel


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        pytest.param(("trio", {}), id="trio"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture
def mock() -> Iterator[MockServer]:
    """A server that answers every turn with ``Hello world``."""
    with MockServer() as server:
        yield server


@pytest.fixture(scope="session")
def notebook() -> Iterator[Kernel]:
    """One kernel for all tests: each takes more than a second to start."""
    from tests.kernel import kernel  # noqa: PLC0415 - takes a while to import

    with kernel() as started:
        yield started


@pytest.fixture
def scripted() -> Iterator[Callable[..., MockServer]]:
    """Makes servers that are closed at the end of the test."""
    servers: list[MockServer] = []

    def make(*turns: Any, **options: Any) -> MockServer:
        servers.append(MockServer(turns, **options))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def tcp_server() -> Iterator[Callable[[bytes | None], str]]:
    """Makes TCP servers that say one thing to everybody, or nothing at all; gives their address."""
    listeners: list[socket.socket] = []

    def serve(listener: socket.socket, reply: bytes | None) -> None:
        connections = []
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                break
            # Kept open, or the client would see the end of the connection instead of silence.
            connections.append(connection)
            if reply is not None:
                connection.recv(65536)
                connection.sendall(reply)
                connection.close()
        for connection in connections:
            connection.close()

    def make(reply: bytes | None) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, reply), daemon=True).start()
        return f"ws://127.0.0.1:{listener.getsockname()[1]}"

    yield make
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
