"""Options that are more than one value."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypedDict

from ._checks import expect, expect_text
from ._jobs import _is_async
from .errors import InvalidOption

__all__ = [
    "ConnectOptions",
    "ConnectSettings",
    "InsecureTokenWarning",
    "Reconnect",
    "RecordOptions",
    "Redactor",
    "TlsOptions",
]

Redactor = Callable[[dict[str, Any], Literal["send", "recv"]], Mapping[str, Any] | None]
"""Says how a frame is written into a recording, with its direction; ``None`` leaves it out.

It cannot be async. When it raises, or returns what is no mapping, the frame is left out, counted
(``stats.unrecorded``), and a message is logged.
"""

# What a 32-bit machine can count, and far above what a server takes.
_MOST_BYTES = 2**32
_MOST_ATTEMPTS = 2**32
_SECONDS = (
    "connect_timeout",
    "request_timeout",
    "keepalive_interval",
    "keepalive_timeout",
    "settle_pause",
    "external_tool_timeout",
)


class InsecureTokenWarning(UserWarning):
    """The token goes to the server without encryption, over a network on which others may read it.

    It comes when a client is made with a token and a URL with ``ws:`` or ``http:``, of another host
    than this machine. ``warnings.simplefilter("error", letta.InsecureTokenWarning)`` makes it an
    error; then there is no client, and nothing is sent.
    """


@dataclass(frozen=True)
class Reconnect:
    """How a lost connection is opened again.

    The waits before the attempts are drawn at random below a limit that doubles from ``base`` to
    ``cap``. It starts from ``base`` again after a connection that was of use (a turn has ended on
    it, or a request was answered) or was open for at least ``cap``.

    Attributes:
        max_attempts: After so many failures in a row it is given up; ``None`` for never.
        base: The longest wait before the first attempt, in seconds.
        cap: The longest wait before any attempt, in seconds; ``math.inf`` lets it double for ever.

    Raises:
        InvalidOption: One of them is not usable.
    """

    max_attempts: int | None = None
    base: float = 0.25
    cap: float = 15

    def __post_init__(self) -> None:
        if self.max_attempts is not None:
            expect("reconnect.max_attempts", self.max_attempts, "a number or None", (int,))
            if not 0 < self.max_attempts < _MOST_ATTEMPTS:
                raise InvalidOption(
                    f"reconnect.max_attempts: expected a number above 0, got {self.max_attempts}"
                )
        for name in ("base", "cap"):
            value = getattr(self, name)
            expect(f"reconnect.{name}", value, "seconds", (int, float))
            if not value > 0:
                raise InvalidOption(f"reconnect.{name}: expected seconds above 0, got {value}")
        if self.cap < self.base:
            raise InvalidOption(f"reconnect.cap: expected at least base ({self.base})")


@dataclass(frozen=True)
class TlsOptions:
    """Which certificates to accept on ``wss:`` and ``https:``.

    Attributes:
        ca: Certificates to trust instead of the system's: PEM text, or the path of a PEM file.
        verify: Whether the server's certificate is checked. Turn it off for experiments only.

    Raises:
        InvalidOption: One of them is of another type.
    """

    ca: str | os.PathLike[str] | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        if self.ca is not None:
            expect("tls.ca", self.ca, "PEM text or a path", (str, os.PathLike))
            expect_text("tls.ca", os.fspath(self.ca))
        # Anything else is a misunderstanding, and this one would be an expensive one.
        expect("tls.verify", self.verify, "True or False", (bool,))


@dataclass(frozen=True)
class RecordOptions:
    """A recording of everything that goes over a client's sockets.

    One JSON object per line: the time, the number of the connection, the direction, the frame. The
    client can be played with it later (``replay``), and it can be sent along with a report.

    Never written are the token, and the values of an agent's secrets and of a provider's fields,
    also where they are repeated later. Prompts, answers and files are; take out with ``redact``
    what others must not read. The file is readable for its owner only.

    The sockets do not wait for the file: it is written by a thread of its own. What comes faster
    waits, and above 65,536 lines or 64 MiB is left out and counted (``stats.unrecorded``). Each
    line is written at once and as a whole, so a process that dies leaves at most one broken line.

    Attributes:
        path: The file. One that is there already is moved aside, like a full one; one that another
            recording still writes is refused, as each client needs its own.
        max_bytes: When the file is full: it becomes ``NAME.1``, that becomes ``NAME.2``, and a new
            one is begun.
        max_files: How many such older files are kept.

    Raises:
        InvalidOption: One of them is not usable.
    """

    path: str | os.PathLike[str]
    max_bytes: int = 256 * 1024 * 1024
    max_files: int = 3

    def __post_init__(self) -> None:
        expect("record", self.path, "a path", (str, os.PathLike))
        for name, lowest in (("max_bytes", 1), ("max_files", 0)):
            value = getattr(self, name)
            expect(f"record.{name}", value, "a number", (int,))
            if not lowest <= value < _MOST_BYTES:
                raise InvalidOption(f"record.{name}: expected a number from {lowest}, got {value}")


@dataclass(frozen=True)
class ConnectOptions:
    """All that a client is made of, as one value: for ``connect`` and ``create_app_server_client``.

    ::

        options = letta.ConnectOptions(url="ws://127.0.0.1:4500", token=token)
        async with letta.connect(options) as client:
            ...

    A client belongs to its process; its options can be pickled, so that a worker process makes a
    client of its own. The pickle has the token, and so has ``dataclasses.asdict``; the repr has
    not. ``dataclasses.replace`` makes others of it. Making one sends nothing. Of the limits of time
    ``math.inf`` means that there is none; ``settle_pause`` and ``Reconnect.base`` are waits, which
    have to end.

    Attributes:
        url: ``ws://``, ``wss://``, ``http://`` or ``https://``; an empty path means ``/ws``.
        token: The capability token or signed bearer token (protocol section 4). It appears in no
            log, error or repr. Where it would go over a network without encryption, making a client
            warns with ``InsecureTokenWarning``.
        transport: ``single`` for one socket (servers from 0.29.7 on), ``split`` for two, ``auto``
            to ask the server.
        connect_timeout: Seconds from the first packet to the open WebSocket.
        request_timeout: Seconds for the answer of a request that names no limit of its own.
        keepalive_interval: Seconds of silence before a ping is sent.
        keepalive_timeout: Seconds that ping may stay unanswered before the connection is lost. When
            the machine has slept, the server is pinged at once and has 5 s. Sleep counts for no
            limit of time.
        max_message_bytes: The largest message in either direction, in bytes; the default of 100 MiB
            is the server's own limit.
        max_pending_requests: How many requests and turns may wait at once; further ones raise
            ``TooManyRequests``, and nothing of them is sent.
        tls: Which certificates to accept; the system's by default.
        settle_pause: Seconds to wait before an input on a runtime whose turn has just ended,
            because the server is still cleaning up (section 18).
        external_tool_concurrency: How many external tools run at once; further calls wait.
        external_tool_timeout: Seconds from a tool's call to its answer; then the client answers
            with an error. The server itself gives up after 5 minutes (section 14).
        reconnect: Whether a lost connection is opened again, and how; ``True`` means
            ``Reconnect()``. Runtimes that were started are started again with their tools, others
            are subscribed to again, and watched files are watched again. Commands are never
            repeated: what was in flight fails. It ends when the server refuses the token or is no
            App Server. A first connection is not tried again.
        standby: Whether there is a second connection to the same server, which takes over when the
            first one is lost. A running turn then goes on; the server cancels one that nobody
            watches any more (sections 7 and 16). It sends a ``sync`` for each runtime, and every
            event comes twice over the network; one copy is used. What a program sees of a loss is
            ``on_disconnect`` with ``will_reconnect``, and the states ``reconnecting`` and ``open``
            at once: requests in flight fail, terminals and external tools that run end, external
            tools are registered again, inputs that had not begun are looked for.
            ``client.stats.standby`` says how it stands; a loss before it is ``ready``, or of both
            connections, is one as without it. With ``reconnect=False`` there is none, nor for a
            server with split channels, which has one client only.
        record: A file for everything that goes over the sockets, or ``RecordOptions``.
        redact: What is taken out of a recording besides what always is: names of fields, whose
            values become ``"[redacted]"`` (``content`` at any depth, or a path from the frame on
            such as ``payload.messages.*.content``); or a function that is given each frame, a
            ``dict`` that it may change, and ``"send"`` or ``"recv"``, and returns what is written,
            or ``None`` for nothing. It runs in a thread of the recording's own, after everything
            else was taken out; when it raises, the frame is left out and counted.

    Raises:
        InvalidOption: One is of another type or out of range; the message begins with its name.
            The rest, such as what ``url`` says, is checked when a client is made.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    transport: Literal["auto", "single", "split"] = "auto"
    connect_timeout: float = 10
    request_timeout: float = 30
    keepalive_interval: float = 20
    keepalive_timeout: float = 20
    max_message_bytes: int = 100 * 1024 * 1024
    max_pending_requests: int = 10_000
    tls: TlsOptions | None = None
    settle_pause: float = 0.4
    external_tool_concurrency: int = 16
    external_tool_timeout: float = 290
    reconnect: Reconnect | bool = True
    standby: bool = False
    record: str | os.PathLike[str] | RecordOptions | None = None
    redact: Iterable[str] | Redactor | None = None

    def __repr__(self) -> str:
        shown = {each.name: getattr(self, each.name) for each in fields(self) if each.repr}
        shown["url"] = _without_secrets(self.url)
        values = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        return f"{type(self).__name__}({values})"

    def __post_init__(self) -> None:
        for name in _SECONDS:
            value = getattr(self, name)
            expect(name, value, "seconds", (int, float))
        if self.external_tool_timeout == 0:
            # The engine has another name for it.
            raise InvalidOption("external_tool_timeout: expected a time above zero, got 0")
        expect_text("url", self.url)
        expect_text("transport", self.transport)
        if self.token is not None:
            expect_text("token", self.token)
        expect("max_message_bytes", self.max_message_bytes, "a number of bytes", (int,))
        if self.tls is not None:
            expect("tls", self.tls, "TlsOptions", (TlsOptions,))
        expect("reconnect", self.reconnect, "Reconnect, True or False", (Reconnect, bool))
        expect("standby", self.standby, "True or False", (bool,))
        _check_recording(self.record, self.redact)
        for name in ("external_tool_concurrency", "max_pending_requests"):
            count = getattr(self, name)
            expect(name, count, "a number", (int,))
            if not 0 < count < _MOST_BYTES:
                raise InvalidOption(f"{name}: expected a number above 0, got {count}")
        if not 0 <= self.max_message_bytes < _MOST_BYTES:
            size = self.max_message_bytes
            raise InvalidOption(f"max_message_bytes: expected up to 4 GiB, got {size}")


def _check_recording(record: object, redact: Iterable[str] | Redactor | None) -> None:
    if record is not None and not isinstance(record, RecordOptions):
        expect("record", record, "a path or RecordOptions", (str, os.PathLike))
    if redact is not None and not callable(redact):
        expect("redact", redact, "a function or names of fields", (list, tuple, set))
        for each in redact:
            expect_text("redact", each)
    if _is_async(redact):
        # What it returns is no frame yet, and nobody waits for it.
        raise InvalidOption("redact: expected a function that returns the frame, got an async one")
    if callable(redact):
        _check_redactor(redact)
    if redact is not None and record is None:
        raise InvalidOption("redact: there is no recording; give record too")


def _check_redactor(redactor: Redactor) -> None:
    """Demands that it takes what it is given: otherwise it would fail at each frame."""
    try:
        signature = inspect.signature(redactor)
    except (TypeError, ValueError):
        return  # of a function in C that does not say
    try:
        signature.bind({}, "send")
    except TypeError as error:
        raise InvalidOption(
            f"redact: expected a function of the frame and its direction, got one of {signature}"
        ) from error


def _without_secrets(url: str) -> str:
    """Leaves out what some write into a URL: names, passwords, tokens."""
    behind = re.search("[?#]", url)
    url, mark = (url[: behind.start()], behind[0]) if behind else (url, "")
    scheme, slashes, rest = url.rpartition("://")
    _, at, host = rest.rpartition("@")
    shown = f"{scheme}{slashes}{'[hidden]@' if at else ''}{host}"
    return f"{shown}{mark}[hidden]" if mark else shown


class ConnectSettings(TypedDict, total=False):
    """The fields of ``ConnectOptions`` as keyword arguments, besides ``url``."""

    token: str | None
    transport: Literal["auto", "single", "split"]
    connect_timeout: float
    request_timeout: float
    keepalive_interval: float
    keepalive_timeout: float
    max_message_bytes: int
    max_pending_requests: int
    tls: TlsOptions | None
    settle_pause: float
    external_tool_concurrency: int
    external_tool_timeout: float
    reconnect: Reconnect | bool
    standby: bool
    record: str | os.PathLike[str] | RecordOptions | None
    redact: Iterable[str] | Redactor | None
