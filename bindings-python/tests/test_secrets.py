"""The token appears in no error, repr, log or traceback, and a risky way for it is warned of."""

from __future__ import annotations

import logging
import re
import socket
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import letta_app_client as letta
from letta_app_client import sync
from letta_app_client.testing import MockServer

pytestmark = pytest.mark.anyio
TcpServer = Callable[[bytes | None], str]
TOKEN = "s3cret-t0ken"  # noqa: S105 - it is no secret
ECHO = TOKEN.encode()

# A server, or a proxy that reports what it got, may repeat the token anywhere.
ANSWERS = {
    "401": b'HTTP/1.1 401 no %b\r\n\r\n{"error":"not %b"}' % (ECHO, ECHO),
    "403": b"HTTP/1.1 403 Forbidden for %b\r\n\r\n" % ECHO,
    "404": b"HTTP/1.1 404 %b\r\n\r\n" % ECHO,
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: ws://h/?token=%b\r\n\r\n" % ECHO,
    "no HTTP": ECHO,
    "wrong accept": b"HTTP/1.1 101 Hi\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %b\r\n\r\n"
    % ECHO,
}


async def told(url: str, **options: Any) -> str:
    """Everything that is told of a failed connect, in all forms."""
    with pytest.raises(letta.LettaAppError) as caught:
        await letta.connect(url, **{"token": TOKEN, **options})
    error = caught.value
    lines = traceback.format_exception(error)
    return " ".join([str(error), repr(error), repr(vars(error)), str(error.hint), *lines])


async def test_no_failure_to_connect_shows_the_token(
    tcp_server: TcpServer,
    scripted: Callable[..., MockServer],
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"ws://127.0.0.1:{listener.getsockname()[1]}/?token={TOKEN}"
    own = scripted(token="another").url
    urls = {
        "refused": nobody,
        "wrong token": own,
        "wrong path": f"{own}/elsewhere?token={TOKEN}",
        "userinfo": f"ws://user:{TOKEN}@127.0.0.1",
        "no scheme": f"user:{TOKEN}@127.0.0.1",
        "bad host": f"ws://ho st/?token={TOKEN}",
    }
    for name, answer in ANSWERS.items():
        url = f"{tcp_server(answer)}/?token={TOKEN}"
        urls |= {name: url, f"{name}, TLS": url.replace("ws://", "wss://")}
    for name, url in urls.items():
        assert TOKEN not in await told(url), name
    for options in ({"token": [TOKEN]}, {"token": f"{TOKEN}\nx"}, {"transport": "x"}):
        assert TOKEN not in await told(own, **options)
    assert TOKEN not in caplog.text
    assert not [warning for warning in recwarn if TOKEN in str(warning.message)]


async def test_no_repr_shows_the_token(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(token=TOKEN)
    options = letta.ConnectOptions(url=f"{mock.url}?token={TOKEN}", token=TOKEN)
    assert "?[hidden]" in repr(options)
    assert mock.url in repr(options)
    nameless = letta.ConnectOptions(url=f"wss://user:{TOKEN}@host/ws", token=TOKEN)
    assert "wss://[hidden]@host/ws" in repr(nameless)
    behind = letta.ConnectOptions(url=f"ws://host/ws#token={TOKEN}?x")
    assert "ws://host/ws#[hidden]" in repr(behind)
    async with letta.connect(options) as client:
        connecting = letta.connect(options)
        for thing in (
            options,
            nameless,
            behind,
            client,
            connecting,
            client.stats,
            client.server_info,
        ):
            assert TOKEN not in f"{thing!r} {thing}"
        connecting.client.close_nowait()


@pytest.mark.parametrize("make", [letta.create_app_server_client, sync.create_app_server_client])
def test_a_token_in_clear_over_a_network_is_warned_of(make: Callable[..., Any]) -> None:
    with pytest.warns(letta.InsecureTokenWarning, match=re.escape("app.invalid:80")) as caught:
        client = make(url="ws://app.invalid", token=TOKEN)
    client.close_nowait()
    (warning,) = caught
    assert Path(warning.filename) == Path(__file__), "it points to who makes the client"
    assert TOKEN not in str(warning.message)


@pytest.mark.parametrize("url", ["ws://127.0.0.1", "ws://[::1]", "ws://x.localhost", "wss://h"])
def test_a_token_that_nobody_can_read_is_not_warned_of(url: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        letta.create_app_server_client(url=url, token=TOKEN).close_nowait()
        letta.create_app_server_client(url="ws://app.invalid").close_nowait()


def test_the_warning_can_be_an_error() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", letta.InsecureTokenWarning)
        with pytest.raises(letta.InsecureTokenWarning):
            letta.connect("ws://app.invalid", token=TOKEN)
