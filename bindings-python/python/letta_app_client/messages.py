"""Frames of the server as objects: every field as an attribute, nothing lost."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from . import _native

__all__ = ["Channel", "Fields", "Message", "by_tag", "nest"]

Channel = Literal["control", "stream"]
"""The socket a frame came on; ``control`` on a one-socket server."""

_REPR_LIMIT = 200


class Fields(_native.Record, Mapping[str, Any]):
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

    __slots__ = ()
    # What is known of the fields of a class: those that may be missing and then are ``None``, and
    # the classes of the objects in them.
    _optional: ClassVar[frozenset[str]] = frozenset()
    _nested: ClassVar[Mapping[str, Maker]] = {}
    # Whether it is made of text, and which names are not those of fields.
    _of_text: ClassVar[bool] = False
    _own: ClassVar[frozenset[str]] = frozenset()

    if TYPE_CHECKING:  # all of it is native

        def __init__(self, data: Mapping[str, Any]) -> None:
            """Wraps a mapping, which must not be changed afterwards."""

        @property
        def raw(self) -> dict[str, Any]:
            """The plain ``dict``, exactly as it was parsed. Do not change it; see ``to_dict``."""
            ...

        def __getitem__(self, key: str) -> Any: ...

        def __getattr__(self, name: str) -> Any: ...

    def __init_subclass__(cls) -> None:
        names = vars(cls) if len(cls.__bases__) == 1 else dir(cls)
        cls._own |= {name for name in names if not name.startswith("_")}

    def to_dict(self) -> dict[str, Any]:
        """Returns a copy of the plain ``dict`` that may be changed."""
        return copy.deepcopy(self.raw)

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


Fields._own = frozenset(name for name in dir(Fields) if not name.startswith("_"))  # noqa: SLF001


class Message(Fields):
    """A frame of the server, or the answer to a request.

    ``message.type`` is the frame's type; every other field is an attribute, also fields that this
    version of the package does not know. A field is read from the text when it is looked at.

    Matches by type: ``case Message("turn_finished")``, or ``case Message(type="x", runtime=r)``.
    """

    __slots__ = ()
    __match_args__ = ("type",)
    _of_text = True

    if TYPE_CHECKING:

        def __init__(self, text: str) -> None:
            """Takes the wire text of a frame, which must be a JSON object."""

    @property
    def raw_text(self) -> str:
        """The text that came over the wire, byte for byte, with all digits of all numbers."""
        return self._text or ""

    if TYPE_CHECKING:

        @property
        def type(self) -> str:
            """What kind of frame this is; an empty string for a frame that does not say."""
            ...

    else:  # looked at in nearly every frame, so it is no function of Python's
        type = property(
            _native.frame_type,
            doc="What kind of frame this is; an empty string for a frame that does not say.",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.raw_text,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_shortened(self.raw_text)})"


Maker: TypeAlias = "type[Fields] | _native.ByTag"
"""Makes an object of a field's value."""


def by_tag(key: str, kinds: Mapping[str, type[Fields]]) -> Maker:
    """Makes objects of the class that their tag says; plain ones where it is unknown."""
    return _native.ByTag(key, dict(kinds))


def nest(kinds: Mapping[type[Fields], Mapping[str, Maker]]) -> None:
    """Tells classes what the objects in their fields are, once all classes are there."""
    for kind, fields in kinds.items():
        kind._nested = fields  # noqa: SLF001 - its own module


def _shortened(text: str) -> str:
    return text if len(text) <= _REPR_LIMIT else f"{text[:_REPR_LIMIT]}… ({len(text)} characters)"
