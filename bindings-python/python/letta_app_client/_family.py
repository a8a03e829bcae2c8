"""The base of the families of commands."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from ._limits import Timeout
from ._link import Link
from ._uncopied import Uncopied
from .messages import Message

__all__ = ["UNSET", "Family"]

M = TypeVar("M", bound=Message)


class _Unset:
    def __repr__(self) -> str:
        return "<not given>"


UNSET: Any = _Unset()
"""The default of fields that may be missing; ``None`` would be sent as ``null``."""


class Family(Uncopied):
    """A group of commands, as an attribute of the client.

    Every command has one method that takes its fields by name. Objects may be given as mappings or
    as attribute objects of this package, such as ``started.runtime``; fields that are not given are
    not sent. A command is checked against the protocol before it is sent. Where the protocol knows
    a ``request_id`` one is made, unless it is given.

    Methods that wait resolve with the response, within ``timeout`` seconds: ``"default"`` is the
    client's ``request_timeout``, ``None`` no limit. Cancelling drops the response only; what the
    command does is done all the same. Methods of commands without a response return at once.

    All raise ``InvalidCommand`` (a field is of the wrong type, or one of an object misspelt;
    nothing was sent), ``UnsupportedByServer`` (the server is too old; nothing was sent),
    ``MessageTooLarge``, ``TooManyRequests``, ``Disconnected``, ``ClientClosed``, ``WrongLoop`` and
    ``ForkedProcess``; those that wait also ``InvalidOption`` (``timeout`` is no limit),
    ``RequestError`` (the server refused; its answer is in ``response``) and ``RequestTimeout`` (no
    answer in time).
    """

    __slots__ = ("_link",)
    _instead = "pickle the ConnectOptions of its client, and connect with them where it is needed"

    def __init__(self, link: Link) -> None:
        """Use the attributes of a client."""
        self._link = link

    def _call(
        self,
        response: type[M],  # noqa: ARG002 - says what comes back
        kind: str,
        fields: dict[str, Any],
        request_id: str | None,
        timeout: Timeout,
    ) -> Awaitable[M]:
        command = _command(kind, fields, request_id)
        return self._link.request(command, timeout, check="documented")

    def _tell(self, kind: str, fields: dict[str, Any], request_id: str | None) -> None:
        self._link.send(_command(kind, fields, request_id), "documented")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def _command(kind: str, fields: dict[str, Any], request_id: str | None) -> dict[str, Any]:
    given = {name: value for name, value in fields.items() if value is not UNSET}
    if request_id is not None:
        given["request_id"] = request_id
    return {"type": kind, **given}
