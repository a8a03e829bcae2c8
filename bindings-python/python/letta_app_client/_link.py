"""What a client and its families share: the connection, and who is told of its frames."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

from . import _native
from ._bridge import Bridge
from ._call import Delivery
from ._decode import decode, decode_as
from ._handlers import Handlers
from ._limits import DEFAULT, Timeout, request_limit
from ._loops import logger
from .errors import Disconnected, InvalidOption, LettaAppError, refusal
from .messages import Channel, Message

__all__ = ["Check", "Link", "Queue", "no_predicate"]

Check = Literal["documented", "catalog", "shape", "opening", "offer"]
"""How closely a command is looked at: for what the server would not accept (``catalog``), for that
and for slips among the names of its fields, or only that it is an object with a ``type``. The last
two are as the first two, for what the engine completes, and tells then."""


class Queue(Protocol):
    """What takes frames until the connection ends."""

    of_connection: bool
    """Whether that is any connection, because what it is for goes with it."""

    def put(self, message: Message) -> None:
        """Takes a frame if it is wanted."""

    def lagged(self, count: int) -> None:
        """Takes note that so many frames, of any type, were lost."""

    def end(self, error: Callable[[], LettaAppError] | None) -> None:
        """Takes note that no more will come, and why."""

    def wake(self) -> None:
        """Lets who waits look again."""


class Link:
    """Sends commands, waits for their answers, and hands frames on.

    It knows nothing of the client, so that a client that is dropped goes at once.
    """

    def __init__(self, native: _native.Connection, deliver: Callable[[Delivery], None]) -> None:
        self.native = native
        self.bridge = Bridge(native, deliver)
        self.on_message: Handlers[[Message, Channel]]
        self.on_message = Handlers(
            "on_message", "the frame", "its channel", listen=self.bridge.listen
        )
        self.on_send: Handlers[[dict[str, Any]]] = Handlers("on_send", "the command")
        # In the order of arrival. One that is dropped may go from any thread.
        self._queues: dict[int, Queue] = {}
        self._gone: Callable[[], LettaAppError] | None = None
        self._connects = False

    @property
    def gone(self) -> Callable[[], LettaAppError] | None:
        """Why no frame comes, where there is no connection and nobody opens one any more."""
        return None if self._connects else self._gone

    def connects(self) -> None:
        """Takes note that the user connects: who reads waits for what comes of it."""
        self._connects = True

    def stands(self, state: str, error: Callable[[], LettaAppError] | None) -> None:
        """Takes note of a new state, and of what it says to those who read where it is the end."""
        self._connects = state == "connecting"
        if state == "open":
            self._gone = None
        elif state == "disconnected":
            if error is None and self._gone in (None, _not_connected):
                # Who waits is told; who reads on once an attempt has succeeded has missed nothing.
                self._gone = _not_connected
                for queue in self._queues.copy().values():
                    queue.wake()
            else:
                self.ended(self._gone or error)

    @property
    def has_listeners(self) -> bool:
        """Whether anybody wants frames that answer no request."""
        return bool(self.on_message.entries or self._queues)

    def add(self, queue: Queue) -> None:
        """Hands every frame to a queue from now on."""
        self._queues[id(queue)] = queue
        self.bridge.listen(True)

    def remove(self, queue: Queue) -> None:
        """Ends that."""
        if self._queues.pop(id(queue), None) is not None:
            self.bridge.listen(False)

    def received(self, message: Message, channel: Channel) -> None:
        """Hands a frame on."""
        if self._queues:
            # A copy is made at once; a subscription may be dropped at any moment.
            for queue in self._queues.copy().values():
                try:
                    queue.put(message)
                except Exception:  # noqa: BLE001 - one that cannot be read is no reason to lose others
                    logger.exception("a message could not be delivered")
        self.on_message.emit(message, channel)

    def lagged(self, count: int) -> None:
        """Tells that frames were lost before anybody could look at them."""
        # A copy is made at once; a subscription may be dropped at any moment.
        for queue in self._queues.copy().values():
            queue.lagged(count)

    def ended(self, error: Callable[[], LettaAppError] | None, *, for_good: bool = True) -> None:
        """Ends what waits for frames: with an error, or because the client was closed."""
        if for_good:
            self._gone = error
        for key, queue in self._queues.copy().items():
            if for_good or queue.of_connection:
                if self._queues.pop(key, None) is not None:
                    self.bridge.listen(False)
                queue.end(error)

    def sent(self, text: str | None) -> None:
        """Tells of a command that goes out, where that was asked for."""
        if text is not None and self.on_send.entries:
            self.on_send.emit(json.loads(text))

    def send(self, command: Any, check: Check = "catalog") -> None:
        """Sends a command, and waits for nothing."""
        self.bridge.check()
        self.sent(self.native.send(command, check, bool(self.on_send.entries)))

    def watch(self, path: str) -> None:
        """Somebody watches a file, until they tell the engine that they do so no more."""
        self.bridge.check()
        command = {"type": "watch_file", "path": path}
        self.sent(self.native.watch_file(command, bool(self.on_send.entries)))

    def request(
        self,
        command: Any,
        timeout: Timeout,
        predicate: Callable[[Message], bool] | None = None,
        *,
        check: Check = "catalog",
    ) -> Awaitable[Any]:
        """Sends a command, when it is awaited, and waits for the message that answers it."""
        manual = predicate is not None
        # What a coroutine function returns would always count as true.
        if manual and (not callable(predicate) or inspect.iscoroutinefunction(predicate)):
            raise no_predicate(predicate)
        seconds = timeout if timeout is DEFAULT else request_limit("timeout", timeout)

        def start(token: int) -> None:
            held, told = self.bridge.hold(), bool(self.on_send.entries)
            sent = self.native.request(token, command, seconds, manual, check, held, told)
            if sent is not None:
                self.sent(sent)

        return self.bridge.call(start, _answer, predicate)


def _not_connected() -> LettaAppError:
    """What who reads is told where the first attempt to connect has failed."""
    hint = "`connect` has raised the reason; call it again, and read anew"
    return Disconnected("the client is not connected: no attempt has succeeded", hint=hint)


def _answer(delivery: Delivery) -> Message:
    if delivery[0] != "response":
        return decode(delivery[2])
    response = decode_as(delivery[3], delivery[2])
    if delivery[4]:
        raise refusal(response)
    return response


def no_predicate(given: object) -> InvalidOption:
    """The error for what was given instead of a predicate."""
    return InvalidOption(f"predicate: expected a plain function, got {type(given).__name__}")
