"""The two ways to a client."""

from __future__ import annotations

import dataclasses
import os
import sys
import warnings
from typing import Any, overload

from . import _native
from ._checks import expect_names, expect_text
from ._limits import at_most
from ._pending import Pending
from ._replay import Replay
from ._unpack import Unpack
from .client import AppServerClient
from .errors import InvalidOption
from .options import (
    ConnectOptions,
    ConnectSettings,
    InsecureTokenWarning,
    RecordOptions,
    TlsOptions,
)
from .server import OwnServer

__all__ = ["Connecting", "connect", "create_app_server_client"]


@overload
def create_app_server_client(
    options: ConnectOptions, /, **settings: Unpack[ConnectSettings]
) -> AppServerClient: ...
@overload
def create_app_server_client(
    *, url: str, auth_token: str | None = None, **settings: Unpack[ConnectSettings]
) -> AppServerClient: ...


def create_app_server_client(
    options: ConnectOptions | None = None,
    /,
    *,
    auth_token: str | None = None,
    **settings: Any,
) -> AppServerClient:
    """Makes a client. The network is not touched before ``connect``.

    ``create_app_server_client(url="ws://127.0.0.1:4500")``, or with all options as one value:
    ``create_app_server_client(options)``.

    Args:
        options: Everything the client is made from.
        auth_token: The token, under the name of the reference client.
        **settings: ``url``, ``token`` and all others of ``ConnectOptions``, by name. Where an
            option is also in ``options``, the one given by name wins.

    Raises:
        InvalidOption: An option is not usable; the message begins with its name.
        TypeError: There is no such option, or no ``url``.
    """
    return _created(options, auth_token, settings)


def _created(
    options: ConnectOptions | None,
    auth_token: str | None,
    settings: dict[str, Any],
    own: OwnServer | None = None,
) -> AppServerClient:
    if auth_token is not None:
        expect_text("auth_token", auth_token)
        if settings.get("token") is not None:
            raise InvalidOption("auth_token: is another name for token; pass only one of them")
        settings["token"] = auth_token
    known = [each.name for each in dataclasses.fields(ConnectOptions)]
    expect_names("create_app_server_client", settings, known, ("auth_token", "options"))
    if options is None:
        if "url" not in settings:
            raise TypeError("create_app_server_client() needs a url, or options that have one")
        options = ConnectOptions(**settings)
    elif settings:
        options = dataclasses.replace(options, **settings)
    return _client(options, own=own)


def _client(
    options: ConnectOptions, played: Replay | None = None, own: OwnServer | None = None
) -> AppServerClient:
    tls = TlsOptions() if options.tls is None else options.tls
    native = _native.Connection(
        url=options.url,
        values=options._values(),  # noqa: SLF001 - of this package
        ca=None if tls.ca is None else os.fspath(tls.ca),
        verify=tls.verify,
        record=_record(options),
        redacted=callable(options.redact),
        replay=None
        if played is None
        else (played.path, played.speed, played.wait, at_most(played.step_timeout)),
        server=None if own is None else own._native,  # noqa: SLF001 - of this package
    )
    recording = native.take_recording()
    if recording is not None and callable(options.redact):
        # Only those who record with a function need it.
        from ._recording import serve  # noqa: PLC0415

        serve(recording, options.redact)
    if native.insecure_token is not None:
        _warn(native.insecure_token)
    client = AppServerClient(native)
    client._bridge.server = own  # noqa: SLF001 - of this package
    return client


def _record(options: ConnectOptions) -> tuple[str | os.PathLike[str], int, int, list[str]] | None:
    record = options.record
    if record is None:
        return None
    if not isinstance(record, RecordOptions):
        record = RecordOptions(record)
    fields = [] if options.redact is None or callable(options.redact) else list(options.redact)
    return (record.path, record.max_bytes, record.max_files, fields)


def _warn(text: str) -> None:
    """Warns, and points to the line outside this package where the client is made."""
    package = __name__.partition(".")[0]
    frame, level = sys._getframe(1), 2  # noqa: SLF001 - for the number of frames
    while frame.f_back is not None and frame.f_globals["__name__"].partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    warnings.warn(text, InsecureTokenWarning, stacklevel=level)


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


def connect(
    url: str | OwnServer | ConnectOptions | Replay, **settings: Unpack[ConnectSettings]
) -> Connecting:
    """Makes a client and connects it.

    ``client = await connect(url)``, or ``async with connect(url) as client:``, which closes it at
    the end. See ``AppServerClient.connect`` for what is sent and which errors are raised.
    Cancelling ends the attempt.

    Args:
        url: The address of the server; or a server of your own, from ``spawn_server``; or a
            recording to use in place of a server, from ``replay``; or all options in one value.
        **settings: The other fields of ``ConnectOptions`` by name, such as ``token`` if the server
            requires one. Where an option is also in ``url``, the one given by name wins.

    Raises:
        InvalidOption: An option is not usable; raised at once, not when awaited.
        TypeError: There is no such option.
    """
    known = [each.name for each in dataclasses.fields(ConnectOptions) if each.name != "url"]
    expect_names("connect", settings, (*known, "auth_token"), ("url",))
    if isinstance(url, Replay):
        return Connecting(_client(ConnectOptions(url="ws://replay", **settings), url))
    if isinstance(url, OwnServer):
        given: dict[str, Any] = {**settings}
        return Connecting(_created(url.options(), given.pop("auth_token", None), given, url))
    if isinstance(url, ConnectOptions):
        return Connecting(create_app_server_client(url, **settings))
    return Connecting(create_app_server_client(url=url, **settings))
