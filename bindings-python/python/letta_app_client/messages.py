"""Frames of the server as objects: every field as an attribute, nothing lost."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from ._parse import parse

__all__ = ["Channel", "Fields", "Message", "by_tag", "nest"]

Channel = Literal["control", "stream"]
"""The socket a frame came on; ``control`` on a one-socket server."""

_REPR_LIMIT = 200


def _wrap(value: Any, kind: Maker) -> Any:
    if isinstance(value, dict):
        return kind(value)
    if isinstance(value, list):
        return [_wrap(item, kind) for item in value]
    return value


class Fields(Mapping[str, Any]):
    """A JSON object whose fields can be read as attributes: ``started.runtime.agent_id``.

    It cannot be changed, it is a mapping (``fields["agent_id"]``, ``fields.get(...)``,
    ``**fields``, ``match`` with a mapping pattern), and it is accepted wherever a part of a
    command is. Nested objects are ``Fields`` as well; arrays are lists of them.

    The classes of ``letta_app_client.protocol`` say which fields there are. Of theirs, a field that
    may be missing is ``None`` as an attribute where it is; ``"error" in response`` tells. Fields
    they do not know, and values of other types than they say, come as they are.

    A field whose name is also a method of mappings (``items``, ``keys``, ``values``, ``get``) or
    ``raw`` or ``to_dict`` is reached as ``fields["items"]``.
    """

    __slots__ = ("_data",)
    _data: dict[str, Any]
    # What is known of the fields of a class: those that may be missing and then are ``None``, and
    # the classes of the objects in them.
    _optional: ClassVar[frozenset[str]] = frozenset()
    _nested: ClassVar[Mapping[str, Maker]] = {}

    def __init__(self, data: Mapping[str, Any]) -> None:
        """Wraps a mapping, which must not be changed afterwards."""
        _set_data(self, data if isinstance(data, dict) else dict(data))

    @property
    def raw(self) -> dict[str, Any]:
        """The plain ``dict``, exactly as it was parsed. Do not change it; see ``to_dict``."""
        return self._data

    def to_dict(self) -> dict[str, Any]:
        """Returns a copy of the plain ``dict`` that may be changed."""
        return copy.deepcopy(self.raw)

    def __getitem__(self, key: str) -> Any:
        return _wrap(self.raw[key], self._nested.get(key, Fields))

    def __getattr__(self, name: str) -> Any:
        # The machinery of copy and pickle looks for such names before there is any data.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        try:
            value = self.raw[name]
        except KeyError:
            if name in self._optional:
                return None
            kind, known = type(self).__name__, ", ".join(self.raw)
            raise AttributeError(f"{kind} has no field {name!r} (there are: {known})") from None
        # Most values hold no others; one call less for them.
        return value if type(value) is str else _wrap(value, self._nested.get(name, Fields))

    def __setattr__(self, name: str, _value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; cannot delete {name!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __contains__(self, key: object) -> bool:
        return key in self.raw

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Fields):
            return self.raw == other.raw
        return self.raw == other if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal to dicts, which have no hash either

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(key for key in self.raw if key.isidentifier())]

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.raw,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_shortened(repr(self.raw))})"


_set_data = Fields._data.__set__  # type: ignore[attr-defined]  # noqa: SLF001 - its own module


class Message(Fields):
    """A frame of the server, or the answer to a request.

    ``message.type`` is the frame's type; every other field is an attribute, also fields that this
    version of the package does not know. The text is parsed when a field is first looked at.

    Matches by type: ``case Message("turn_finished")``, or ``case Message(type="x", runtime=r)``.
    """

    __slots__ = ("_text",)
    __match_args__ = ("type",)
    _text: str

    def __init__(self, text: str) -> None:
        """Takes the wire text of a frame, which must be a JSON object."""
        _set_text(self, text)

    @property
    def raw_text(self) -> str:
        """The text that came over the wire, byte for byte, with all digits of all numbers."""
        return self._text

    @property
    def raw(self) -> dict[str, Any]:
        """The parsed frame as a plain ``dict``. Do not change it; see ``to_dict``."""
        try:
            return self._data
        except AttributeError:
            data: dict[str, Any] = parse(self._text)
            _set_data(self, data)
            return data

    @property
    def type(self) -> str:
        """What kind of frame this is; an empty string for a frame that does not say."""
        kind = self.raw.get("type")
        return kind if isinstance(kind, str) else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._text,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_shortened(self._text)})"


_set_text = Message._text.__set__  # type: ignore[attr-defined]  # noqa: SLF001 - its own module

Maker: TypeAlias = Callable[[dict[str, Any]], Fields]
"""Makes an object of a field's value."""


def by_tag(key: str, kinds: Mapping[str, type[Fields]]) -> Maker:
    """Makes objects of the class that their tag says; plain ones where it is unknown."""

    def make(data: dict[str, Any]) -> Fields:
        tag = data.get(key)
        return (kinds.get(tag, Fields) if isinstance(tag, str) else Fields)(data)

    return make


def nest(kinds: Mapping[type[Fields], Mapping[str, Maker]]) -> None:
    """Tells classes what the objects in their fields are, once all classes are there."""
    for kind, fields in kinds.items():
        kind._nested = fields  # noqa: SLF001 - its own module


def _shortened(text: str) -> str:
    return text if len(text) <= _REPR_LIMIT else f"{text[:_REPR_LIMIT]}… ({len(text)} characters)"
