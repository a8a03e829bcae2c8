from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
import trustme

import letta_app_client as letta
from letta_app_client.testing import MockServer
from tests.helpers import RUNTIME

pytestmark = pytest.mark.anyio
TcpServer = Callable[[bytes | None], str]
NO_APP_SERVER = (letta.ConnectionFailed, letta.ProtocolMismatch)


async def refusal(url: str, **options: Any) -> letta.LettaAppError:
    with pytest.raises(letta.LettaAppError) as caught:
        await letta.connect(url, **options)
    return caught.value


async def test_a_refused_connection_is_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = await refusal(f"ws://127.0.0.1:{port}")
    assert type(error) is letta.ConnectionFailed
    assert isinstance(error, ConnectionError)
    assert str(port) in str(error)
    assert "refused" in str(error)
    assert error.retryable


async def test_a_401_has_the_reason(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(token="right")
    missing = await refusal(mock.url)
    wrong = await refusal(mock.url, token="wr0ng")
    assert type(missing) is type(wrong) is letta.AuthError
    assert "missing websocket bearer token" in str(missing)
    assert "invalid websocket bearer token" in str(wrong)
    assert "wr0ng" not in str(wrong) + repr(wrong)
    async with letta.connect(mock.url, token="right") as client:
        assert client.state == "open"


async def test_a_404_names_the_address(tcp_server: TcpServer) -> None:
    url = tcp_server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    error = await refusal(f"{url}/nowhere")
    assert type(error) in NO_APP_SERVER
    assert "404" in str(error)
    assert "/nowhere" in str(error)


async def test_a_server_that_is_no_web_server(tcp_server: TcpServer) -> None:
    error = await refusal(tcp_server(b"220 mail.example.org ESMTP\r\n"))
    assert type(error) in NO_APP_SERVER
    assert "not an App Server" in str(error)


async def test_a_server_that_never_answers(tcp_server: TcpServer) -> None:
    error = await refusal(tcp_server(None), connect_timeout=0.1)
    assert type(error) is letta.ConnectionFailed
    assert "within 0.1 s" in str(error)


async def test_a_host_that_does_not_exist() -> None:
    error = await refusal("ws://no-such-host.invalid:4500")
    assert type(error) is letta.ConnectionFailed
    assert "no-such-host.invalid" in str(error)


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def tls_server(mock: MockServer) -> Iterator[tuple[str, str]]:
    """The mock server behind TLS: its address and the certificate of the authority."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    inside = ("127.0.0.1", int(mock.url.rpartition(":")[2]))
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError):
            outer = context.wrap_socket(plain, server_side=True)
            with outer, socket.create_connection(inside) as inner:
                back = threading.Thread(target=pump, args=(inner, outer))
                back.start()
                pump(outer, inner)
                back.join()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(connection,)))
                threads[-1].start()

    threads = [threading.Thread(target=accept)]
    threads[0].start()
    yield f"wss://127.0.0.1:{listener.getsockname()[1]}", authority.cert_pem.bytes().decode()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    mock.close()
    for thread in threads:
        thread.join()


async def test_certificates(tls_server: tuple[str, str]) -> None:
    url, ca = tls_server
    error = await refusal(url)
    assert type(error) is letta.ConnectionFailed
    assert "certificate" in str(error)
    async with letta.connect(url, tls=letta.TlsOptions(ca=ca)) as client:
        assert client.state == "open"
    async with letta.connect(url, tls=letta.TlsOptions(verify=False)) as client:
        assert client.state == "open"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"url": "ftp://host"}, "url"),
        ({"url": "127.0.0.1:4500"}, "url"),
        ({"url": "ws://"}, "url"),
        ({"url": "ws://host:0"}, "url"),
        ({"url": "ws://user:secret@host"}, "url"),
        ({"url": None}, "url"),
        ({"token": ""}, "token"),
        ({"token": "a\nb"}, "token"),
        ({"token": "secret", "auth_token": "secret"}, "auth_token"),
        ({"transport": "carrier pigeon"}, "transport"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"connect_timeout": "soon"}, "connect_timeout"),
        ({"request_timeout": -1}, "request_timeout"),
        ({"keepalive_interval": float("nan")}, "keepalive_interval"),
        ({"keepalive_timeout": float("-inf")}, "keepalive_timeout"),
        ({"max_message_bytes": 0}, "max_message_bytes"),
        ({"max_message_bytes": -1}, "max_message_bytes"),
        ({"settle_pause": -0.1}, "settle_pause"),
        (
            {"settle_pause": float("inf")},
            "settle_pause: expected a finite wait of less than a year, got inf",
        ),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, object], field: str) -> None:
    arguments: dict[str, object] = {"url": "ws://127.0.0.1:4500", **options}
    with pytest.raises(letta.InvalidOption) as caught:
        letta.create_app_server_client(**arguments)  # type: ignore[call-overload]
    assert str(caught.value).startswith(field)
    assert isinstance(caught.value, ValueError)
    assert "secret" not in str(caught.value)


async def test_connect_and_close_may_be_called_again(mock: MockServer) -> None:
    client = letta.create_app_server_client(url=mock.url)
    assert (client.state, client.server_info) == ("new", None)
    assert await client.connect() is client
    assert await client.connect() is client
    assert mock.connections == 1
    info = client.server_info
    assert info is not None
    assert info.capabilities.split_channels is False
    await client.close()
    assert client.state == "closed"
    await client.close()
    client.close_nowait()
    with pytest.raises(letta.ClientClosed):
        await client.connect()
    with pytest.raises(letta.ClientClosed):
        client.send_raw({"type": "x"})
    with pytest.raises(letta.ClientClosed):
        await client.sync(runtime=RUNTIME)


async def test_a_client_that_never_connected_can_be_closed(mock: MockServer) -> None:
    client = letta.create_app_server_client(url=mock.url)
    with pytest.raises(letta.Disconnected, match="not connected yet"):
        client.send_raw({"type": "x"})
    with pytest.raises(letta.Disconnected, match="call connect first"):
        await client.sync(runtime=RUNTIME)
    await client.close()
    assert mock.connections == 0


async def test_both_kinds_of_server(scripted: Callable[..., MockServer]) -> None:
    kinds: list[tuple[str, Literal["auto", "single", "split"], int]] = [
        ("single", "auto", 1),
        ("single", "single", 1),
        ("split", "auto", 2),
        ("split", "split", 2),
    ]
    for generation, transport, sockets in kinds:
        mock = scripted(generation=generation)
        async with await letta.connect(mock.url, transport=transport) as client:
            assert client.state == "open"
            assert mock.connections == sockets


async def test_the_token_is_not_shown(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(token="s3cret")
    async with letta.connect(mock.url, token="s3cret") as client:
        assert "s3cret" not in repr(client)
