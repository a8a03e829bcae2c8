"""The two ways to a client."""

from __future__ import annotations

import os
from typing import Any, Literal

from . import _native
from ._checks import expect, expect_text
from ._pending import Pending
from .client import AppServerClient
from .errors import InvalidOption
from .options import TlsOptions
from .server import OwnServer

__all__ = ["Connecting", "connect", "create_app_server_client"]


def create_app_server_client(
    *,
    url: str,
    token: str | None = None,
    auth_token: str | None = None,
    transport: Literal["auto", "single", "split"] = "auto",
    connect_timeout: float = 10,
    request_timeout: float = 30,
    keepalive_interval: float = 20,
    keepalive_timeout: float = 20,
    max_message_bytes: int = 100 * 1024 * 1024,
    tls: TlsOptions | None = None,
    settle_pause: float = 0.4,
    external_tool_concurrency: int = 16,
    external_tool_timeout: float = 290,
) -> AppServerClient:
    """Makes a client. Nothing touches the network before ``connect``.

    Args:
        url: ``ws://``, ``wss://``, ``http://`` or ``https://``; an empty path means ``/ws``.
        token: The capability token or signed bearer token (protocol section 4). It appears in no
            log, error or repr.
        auth_token: The same, under the name of the reference client.
        transport: ``single`` for one socket (servers from 0.29.7 on), ``split`` for two, ``auto``
            to ask the server.
        connect_timeout: Seconds from the first packet to the open WebSocket.
        request_timeout: Seconds for the answer of a request that names no limit of its own.
        keepalive_interval: Seconds of silence before a ping is sent.
        keepalive_timeout: Seconds that ping may stay unanswered before the connection is lost.
        max_message_bytes: The largest message in either direction, in bytes; the default of 100 MiB
            is the server's own limit.
        tls: Which certificates to accept.
        settle_pause: Seconds to wait before an input on a runtime whose turn has just ended,
            because the server is still cleaning up (section 18).
        external_tool_concurrency: How many external tools run at once; further calls wait.
        external_tool_timeout: Seconds from a tool's call to its answer; then the client answers
            with an error. The server itself gives up after 5 minutes (section 14).

    Raises:
        InvalidOption: An option is not usable; the message begins with its name.
    """
    if token is not None and auth_token is not None:
        raise InvalidOption("auth_token: is another name of token; give only one of them")
    tls = tls if tls is not None else TlsOptions()
    seconds = {
        "connect_timeout": connect_timeout,
        "request_timeout": request_timeout,
        "keepalive_interval": keepalive_interval,
        "keepalive_timeout": keepalive_timeout,
        "settle_pause": settle_pause,
        "external_tool_timeout": external_tool_timeout,
    }
    for name, value in seconds.items():
        expect(name, value, "seconds", (int, float))
        # The engine refuses what is too long, but takes no numbers of any length.
        if value > _MOST_SECONDS:
            raise InvalidOption(f"{name}: expected up to {_MOST_SECONDS:g} seconds")
    for name, text in {"url": url, "transport": transport}.items():
        expect_text(name, text)
    for name, secret in {"token": token, "auth_token": auth_token}.items():
        if secret is not None:
            expect_text(name, secret)
    expect("max_message_bytes", max_message_bytes, "a number of bytes", (int,))
    expect("tls", tls, "TlsOptions", (TlsOptions,))
    expect("external_tool_concurrency", external_tool_concurrency, "a number", (int,))
    if not 0 < external_tool_concurrency < _MOST_BYTES:
        raise InvalidOption(
            f"external_tool_concurrency: expected a number above 0, got {external_tool_concurrency}"
        )
    if not 0 <= max_message_bytes < _MOST_BYTES:
        raise InvalidOption(f"max_message_bytes: expected up to 4 GiB, got {max_message_bytes}")
    native = _native.Connection(
        url=url,
        token=token if auth_token is None else auth_token,
        transport=transport,
        max_message_bytes=max_message_bytes,
        ca=None if tls.ca is None else os.fspath(tls.ca),
        verify=tls.verify,
        external_tool_concurrency=external_tool_concurrency,
        **seconds,
    )
    return AppServerClient(native)


# What a 32-bit machine can count, and far above what a server takes.
_MOST_BYTES = 2**32
_MOST_SECONDS = 1e9


class Connecting(Pending[AppServerClient]):
    """What ``connect`` returns: to be awaited, or used with ``async with``."""

    def __init__(self, client: AppServerClient) -> None:
        self.client = client
        """The client, which is not connected yet."""

    async def _open(self) -> AppServerClient:
        try:
            return await self.client.connect()
        except BaseException:
            # Nobody else has the client, so nobody could close it.
            self.client.close_nowait()
            raise


def connect(url: str | OwnServer, *, token: str | None = None, **options: Any) -> Connecting:
    """Makes a client and connects it.

    ``client = await connect(url)``, or ``async with connect(url) as client:``, which closes it at
    the end. See ``create_app_server_client`` for the options and ``AppServerClient.connect`` for
    what goes over the wire and which errors there are. Cancelling ends the attempt.

    Args:
        url: Where the server is, or a server of one's own from ``spawn_server``.
        token: The token, where the server wants one.
        **options: As for ``create_app_server_client``.

    Raises:
        InvalidOption: An option is not usable; raised at once, not when awaited.
    """
    if isinstance(url, OwnServer):
        token = url.token if token is None else token
        url = url.url
    return Connecting(create_app_server_client(url=url, token=token, **options))
