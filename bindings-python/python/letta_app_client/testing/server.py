"""The server double."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

from letta_app_client import _native
from letta_app_client._json import encode, encode_unicode
from letta_app_client._uncopied import Uncopied
from letta_app_client.messages import Message

from ._scripted import checked_options, checked_turns

__all__ = ["MockServer", "Terminated"]

Generation = Literal["single", "split"]


class Terminated(NamedTuple):
    """A connection that was dropped because its client read too slowly."""

    seconds: float
    """How long it had been open."""
    reason: str
    """The limit: ``512 frames queued``, ``16777216 bytes unsent`` or ``no pong for 90 s``."""


class MockServer(Uncopied):
    """An App Server on a loopback port that answers according to a script, or plays a recording.

    It listens from the moment it is made until ``close``, or the end of its ``with`` block. All
    methods may be called from any thread.
    """

    _native: _native.MockServer
    _instead = "pass on its url"

    def __init__(
        self,
        turns: Iterable[Mapping[str, Any]] = (),
        *,
        generation: Generation = "single",
        token: str | None = None,
        answers: Mapping[str, Any] | None = None,
        models: Iterable[str] | None = None,
        files: bool = False,
        directories: Iterable[str] | None = None,
        ping_interval_ms: int | None = None,
        slow_reader_limits: bool | Mapping[str, int] = False,
        turn_events: bool = True,
        correlation: bool = True,
    ) -> None:
        """Starts a server that answers according to a script.

        Args:
            turns: What the turns do, in the order in which they start; see ``script.turn``. The
                last one is repeated.
            generation: One socket for everything (``single``) or two (``split``).
            token: The token that clients must have.
            answers: The fields of the successful response to commands, by command type; ``None``
                leaves the answer to the test. They come before what is built in (runtimes, turns,
                agents and conversations), which does nothing then: of an ``input``, which is
                accepted unless the fields say otherwise, there is no turn. ``terminal_spawn`` is
                answered by ``terminal_spawned``, or with an ``error`` by ``terminal_exited``.
                Commands that have no answer are refused.
            models: The handles that ``list_models`` returns; without them, ``answers`` decides.
            files: Whether there is a temporary folder, ``folder``, in which ``read_file`` and
                similar commands work.
            directories: The directories there are, besides ``/home/user/project``; by default
                those of this machine with ``files``, else every one.
            ping_interval_ms: Milliseconds between two pings; none by default.
            slow_reader_limits: ``True``: drop clients that read too slowly or answer no pings, as a
                real server does, see ``terminated``; or a mapping with limits of your own:
                ``pause_bytes``, ``max_queued_frames``, ``max_unsent_bytes``, ``pong_timeout_ms``.
            turn_events: Whether to send ``turn_finished`` and ``input_accepted``, as newer servers
                do.
            correlation: Whether to send the correlation map, as newer servers do.

        Raises:
            InvalidOption: The script is not one; the message names the field. It is a
                ``ValueError``.
            OSError: No port is available.
        """
        options = checked_options(
            {
                "generation": generation,
                "token": token,
                "answers": {} if answers is None else answers,
                "models": models,
                "files": files,
                "directories": directories,
                "ping_interval_ms": ping_interval_ms,
                "slow_reader_limits": slow_reader_limits,
                "turn_events": turn_events,
                "correlation": correlation,
            }
        )
        options["turns"] = checked_turns(turns)
        self._native = _native.MockServer.scripted(encode_unicode(options))

    @classmethod
    def play(
        cls,
        path: str | os.PathLike[str],
        generation: Generation,
        *,
        step_timeout: float = 30,
        answer_unrecorded: bool = True,
    ) -> MockServer:
        """Starts a server that plays a recording to the clients that connect.

        Lines are taken in file order. Where the recorded client sent something, the player waits
        for a command of the same type; ids may differ. After the last line all sockets are closed.

        Args:
            path: The file.
            generation: Which kind of server was recorded.
            step_timeout: Seconds to wait for each connection and each frame of the client.
            answer_unrecorded: Confirm a command that has an id where the recorded one had none.

        Raises:
            ValueError: The file is not a recording.
            OSError: The file cannot be read, or no port is available.
        """
        server = cls.__new__(cls)
        played = _native.MockServer.play(path, generation, step_timeout, answer_unrecorded)
        server._native = played  # noqa: SLF001 - the other constructor
        return server

    @property
    def url(self) -> str:
        """The address for clients."""
        return self._native.url

    @property
    def folder(self) -> Path:
        """The temporary folder of the files, with ``files=True``; it is removed with the server."""
        folder = self._native.folder
        if folder is None:
            raise RuntimeError("there are no files: start the server with files=True")
        return folder

    @property
    def received(self) -> list[Message]:
        """The JSON objects that clients have sent so far, in the order of arrival."""
        return [Message(text) for text in self._native.received() if _is_object(text)]

    @property
    def unexpected(self) -> list[str]:
        """The texts of frames that had no effect: malformed, unknown or not recorded."""
        return self._native.unexpected()

    @property
    def failure(self) -> str | None:
        """What the player of a recording was waiting for when it gave up."""
        return self._native.failure()

    @property
    def connections(self) -> int:
        """How many WebSockets were ever opened."""
        return self._native.connections()

    @property
    def open_connections(self) -> int:
        """How many WebSockets are open now."""
        return self._native.open_connections()

    @property
    def terminated(self) -> list[Terminated]:
        """The connections that were dropped because of ``slow_reader_limits``."""
        return [Terminated(*each) for each in self._native.terminated()]

    def wait_done(self, timeout: float = 10) -> bool:
        """Blocks until the recording is over, at most this many seconds; returns whether it is."""
        return self._native.wait_done(timeout)

    def wait_received(self, type: str, times: int = 1, timeout: float = 10) -> bool:  # noqa: A002
        """Blocks until this many frames of a type have come; ``False`` if the time is up first."""
        return self._native.wait_received(type, times, timeout)

    def assert_received(self, type: str, *, times: int | None = None, **fields: Any) -> None:  # noqa: A002
        """Asserts that frames of a type have come: at least one, or exactly this many.

        ::

            mock.assert_received("input", times=1, payload={"kind": "create_message"})

        Args:
            type: The type.
            times: How many; ``None`` for at least one.
            **fields: What the frames contain; only frames with these values count, and they may
                contain more. Lists have to be of the same length.

        Raises:
            AssertionError: They have not come; the message says where those that did come differ.
        """
        complaint = self._native.complaint(type, times, encode_unicode(fields))
        if complaint is not None:
            raise AssertionError(complaint)

    def push(self, frame: str | Mapping[str, Any]) -> None:
        """Sends a frame to all clients, text as it is.

        A client that has not received any answer yet may still be unknown to the server.
        """
        self._native.push(frame if isinstance(frame, str) else encode(frame))

    def cut_connection(self, index: int) -> None:
        """Cuts one open connection, counted from 0 in the order in which they were opened."""
        self._native.cut_connection(index)

    def cut_connections(self) -> None:
        """Drops all connections without a close frame. The port stays open."""
        self._native.cut_connections()

    def stop(self) -> None:
        """Stops listening and drops all connections, as a server that ends does.

        Until ``start_again``, connections are refused. The script goes on where it is: what is
        stored, what was received and the turns to come stay, and turns that run are cancelled with
        their connections. Waits for 2 s at most. A server that has stopped is left as it is.
        """
        self._native.stop()

    def start_again(self) -> None:
        """Listens again at the same address, after ``stop``; one that listens is left as it is.

        Raises:
            OSError: Another program has taken the port in the meantime; or the server is closed, or
                has played its recording.
        """
        self._native.start_again()

    def close(self) -> None:
        """Drops all connections and frees the port, after 2 s at most. May be called again."""
        self._native.close()

    def __enter__(self) -> MockServer:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<MockServer {self.url}>"


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
