"""Options that are more than one value."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypedDict

from . import _native
from ._checks import expect, expect_text
from ._handlers import problem_of_call
from ._jobs import _is_async
from ._limits import at_most
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

It cannot be async. When it raises, or returns something else than a mapping, the frame is left out
and counted (``stats.unrecorded``). The first time, the exception is logged.
"""

# What a 32-bit machine can count, and far above what a server takes.
_MOST_BYTES = 2**32
_MOST_ATTEMPTS = 2**32
_YEAR = 365 * 86_400.0
_SECONDS = (
    "connect_timeout",
    "request_timeout",
    "keepalive_interval",
    "keepalive_timeout",
    "settle_pause",
    "external_tool_timeout",
)


class InsecureTokenWarning(UserWarning):
    """The token goes to the server unencrypted, over a network on which others may read it.

    The warning is given when a client is made with a token and a ``ws:`` or ``http:`` URL whose
    host is not this machine. ``warnings.simplefilter("error", letta.InsecureTokenWarning)`` turns
    it into an error; then no client is made, and nothing is sent.
    """


def expect_finite(name: str, wait: float) -> float:
    """Demands a wait that ends."""
    if wait >= _YEAR:
        raise InvalidOption(f"{name}: expected a finite wait of less than a year, got {wait}")
    return wait


@dataclass(frozen=True)
class Reconnect:
    """How a lost connection is opened again.

    The waits before the attempts are random, below a limit that doubles from ``base`` to ``cap``.
    The limit starts at ``base`` again after a connection that was of use (a turn has ended on it,
    or a request was answered) or was open for at least ``cap``.

    Attributes:
        max_attempts: After how many failures in a row the client gives up; ``None`` for never.
        base: The longest wait before the first attempt, in seconds.
        cap: The longest wait before any attempt, in seconds; ``math.inf`` lets it double without
            end.

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
        expect_finite("reconnect.base", self.base)
        if self.cap < self.base:
            raise InvalidOption(
                f"reconnect.cap: expected at least base ({self.base}), got {self.cap}"
            )


@dataclass(frozen=True)
class TlsOptions:
    """Which certificates to accept on ``wss:`` and ``https:``.

    Attributes:
        ca: Certificates to trust instead of the system's: PEM text, or the path of a PEM file.
        verify: Whether the server's certificate is checked. Turn this off only for experiments.

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

    The file has one JSON object per line: the time, the number of the connection, the direction,
    the frame. A client can be run against it later (``replay``), or you can send it along with a
    report.

    The token is never written, nor are the values of an agent's secrets and of a provider's fields,
    even where they are repeated later. Prompts, answers and files are written: use ``redact`` to
    remove what others must not read. Only the file's owner can read it.

    The sockets do not wait for the file: a thread of its own writes it. Lines that come faster than
    it can write are queued; above 65,536 lines or 64 MiB they are left out and counted
    (``stats.unrecorded``). What cannot be written, because the disk is full, is tried again after a
    second. The first time that lines are missing, and when the client is closed, the log says so as
    a warning. Each line is written at once and as a whole, so a process that dies leaves at most
    one broken line.

    Attributes:
        path: The file. A file that already exists is moved aside, as if it were full, when the
            first connection is open. A file that another recording is still writing is refused:
            each client needs its own.
        max_bytes: The size at which the file is full: it is then renamed to ``NAME.1``, what was
            ``NAME.1`` to ``NAME.2``, and a new file is begun.
        max_files: How many of these older files are kept.

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
    """Everything a client is made from, as one value; ``connect`` takes it.

    ::

        options = letta.ConnectOptions(url="ws://127.0.0.1:4500", token=token)
        async with letta.connect(options) as client:
            ...

    A client belongs to its process; its options can be pickled, so that a worker process can make a
    client of its own. The pickle contains the token, and so does ``dataclasses.asdict``; the repr
    does not. ``dataclasses.replace`` makes a changed copy. Making options sends nothing. For time
    limits, ``math.inf`` means that there is no limit. ``settle_pause`` and ``Reconnect.base`` are
    waits, which have to end, so they cannot be infinite.

    Attributes:
        url: ``ws://``, ``wss://``, ``http://`` or ``https://``; an empty path means ``/ws``.
        token: The capability token or signed bearer token (protocol section 4). It appears in no
            log, error or repr. If it would cross a network unencrypted, making a client warns with
            ``InsecureTokenWarning``.
        transport: ``single`` for one socket (servers from 0.29.7 on), ``split`` for two, ``auto``
            to ask the server.
        connect_timeout: Seconds from the first packet to the open WebSocket.
        request_timeout: Seconds for the answer to a request that sets no limit of its own.
        keepalive_interval: Seconds of silence before a ping is sent.
        keepalive_timeout: Seconds that this ping may stay unanswered before the connection is
            considered lost. After the machine has slept, the server is pinged at once and has 5 s
            to answer. Time asleep does not count towards any time limit.
        max_message_bytes: The largest message in either direction, in bytes; the default of 100 MiB
            is the server's own limit.
        max_pending_requests: How many requests and turns may wait at once. Further ones raise
            ``TooManyRequests`` without sending anything.
        tls: Which certificates to accept; the system's by default.
        settle_pause: Seconds to wait before an input on a runtime whose turn has just ended,
            because the server is still cleaning up (section 18).
        external_tool_concurrency: How many external tools run at once; further calls wait.
        external_tool_timeout: Seconds from a tool's call to its answer; after that the client
            answers with an error. The server itself gives up after 5 minutes (section 14). Where no
            handler and no session has tools, calls are left to whoever answers them by hand, and
            have no limit here.
        reconnect: Whether a lost connection is opened again, and how; ``True`` means
            ``Reconnect()``. Runtimes that this client had started are started again with their
            tools, others are subscribed to again, and watched files are watched again. Commands are
            never repeated: what was in flight fails. The client gives up when the server refuses
            the token, or split channels where ``transport`` is ``"split"``, or after
            ``max_attempts`` failures. A first connection that fails is not
            retried.
        standby: Whether to keep a second connection to the same server, which takes over when the
            first one is lost. A running turn then goes on, whereas the server cancels a turn that
            nobody watches any more (sections 7 and 16). The second connection sends a ``sync`` for
            each runtime, and every event crosses the network twice; one copy is used. When a
            connection is lost, the program sees ``on_disconnect`` with ``will_reconnect``, and the
            states ``reconnecting`` and ``open`` right after each other. Requests in flight fail,
            running terminals and external tools end, external tools are registered again, and
            inputs that had not begun are looked for. ``client.stats.standby`` tells whether the
            second connection is ready. If one is lost before that, or both are lost, it is the same
            as without a standby. There is no standby with ``reconnect=False``, nor on a server with
            split channels, which accepts only one client.
        record: A file for everything that goes over the sockets, or ``RecordOptions``.
        redact: What is removed from a recording besides what always is. Either names of fields,
            whose values become ``"[redacted]"`` (``content`` at any depth, or a path from the top
            of the frame such as ``payload.messages.*.content``), also in texts that are JSON
            themselves, but not in the pieces in which arguments of tools are streamed: name
            ``arguments`` and ``tool_args`` as well; or a function that gets each frame, as a
            ``dict`` that it may change, and ``"send"`` or ``"recv"``, and returns what to write, or
            ``None`` to leave the frame out. The function runs in a thread of the recording's own,
            after everything else has been removed; if it raises, the frame is left out and
            counted.

    Raises:
        InvalidOption: An option has the wrong type or is out of range; the message begins with its
            name. What ``url`` says, and the certificates of ``tls``, are checked when a client is
            made, which may be on another machine.
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

    def _values(self) -> dict[str, Any]:
        """What the engine takes as it is."""
        rules = Reconnect() if self.reconnect is True else self.reconnect or None
        return {
            "token": self.token,
            "transport": self.transport,
            **{name: at_most(getattr(self, name)) for name in _SECONDS},
            "max_message_bytes": self.max_message_bytes,
            "max_pending_requests": self.max_pending_requests,
            "external_tool_concurrency": self.external_tool_concurrency,
            "reconnect": None
            if rules is None
            else (rules.max_attempts, at_most(rules.base), at_most(rules.cap)),
            "standby": self.standby,
        }

    def __repr__(self) -> str:
        shown = {each.name: getattr(self, each.name) for each in fields(self) if each.repr}
        shown["url"] = _without_secrets(self.url)
        values = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        return f"{type(self).__name__}({values})"

    def __post_init__(self) -> None:
        for name in _SECONDS:
            value = getattr(self, name)
            expect(name, value, "seconds", (int, float))
        expect_finite("settle_pause", self.settle_pause)
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
        object.__setattr__(self, "redact", _redaction(self.redact))
        _check_recording(self.record, self.redact)
        for name in ("external_tool_concurrency", "max_pending_requests"):
            count = getattr(self, name)
            expect(name, count, "a number", (int,))
            if not 0 < count < _MOST_BYTES:
                raise InvalidOption(f"{name}: expected a number above 0, got {count}")
        if not 0 <= self.max_message_bytes < _MOST_BYTES:
            size = self.max_message_bytes
            raise InvalidOption(f"max_message_bytes: expected up to 4 GiB, got {size}")
        _native.check_values(self._values())


def _check_recording(record: object, redact: Iterable[str] | Redactor | None) -> None:
    if record is not None and not isinstance(record, RecordOptions):
        expect("record", record, "a path or RecordOptions", (str, os.PathLike))
    if redact is not None and record is None:
        raise InvalidOption("redact: there is no recording; pass record too")


def _redaction(redact: Iterable[str] | Redactor | None) -> tuple[str, ...] | Redactor | None:
    """What is kept of a redactor, or of names.

    An iterator gives its names once, and a view of a mapping cannot be pickled.
    """
    if _is_async(redact):
        # What it returns is no frame yet, and nobody waits for it.
        raise InvalidOption("redact: expected a function that returns the frame, got an async one")
    if redact is None:
        return None
    if callable(redact):
        if problem := problem_of_call(redact, ("the frame", "its direction")):
            raise InvalidOption(f"redact: {problem}")
        return redact
    # One text is an iterable of its letters, which nobody means, and a mapping is one of its keys.
    if isinstance(redact, (str, bytes, Mapping)) or not isinstance(redact, Iterable):
        expect("redact", redact, "a function or names of fields", ())
    names = tuple(redact)
    for each in names:
        expect_text("redact", each)
    return names


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
