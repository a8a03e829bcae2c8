"""Blocking faces of asynchronous objects: the same attributes, methods and arguments.

The classes are made of those they stand for, so that none can lack a method. What type checkers and
editors see of them is in ``__init__.pyi``, which ``scripts/blocking_stubs.py`` writes.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from types import GenericAlias
from typing import Any, NoReturn

from .._flight import SecondReader
from .._jobs import _is_async
from .._stream import TurnStream
from .._uncopied import refuse_copy
from ..turn import Turn
from ._interrupts import Interrupts
from ._loop import BlockingLoop
from ._words import blocking

__all__ = ["CALLED", "SPELLED", "Face", "bare", "called", "face_class", "originals", "run", "shown"]

SPELLED = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
}
"""The names that are others without an event loop."""

CALLED = frozenset({"on_message", "on_send", "on_disconnect", "on_state", "on_lagged"})
"""The methods whose first argument is called from within the client's own code."""

_LOOKS = frozenset({"_repr_html_", "_repr_markdown_"})
"""The private methods that notebooks ask for."""

_GLANCES = _LOOKS | {"explain", "status", "usage"}
"""What says how something stands, and may be asked again and again by those who do not wait."""

_CLASSES: dict[type, type[Face]] = {}


class Face:
    """The blocking face of one object."""

    __slots__ = ("__weakref__", "_inner", "_loop", "_ungiven")

    def __init__(self, inner: Any, loop: BlockingLoop) -> None:
        self._inner = inner
        self._loop = loop
        # Of an iterator.
        self._ungiven: tuple[Any, ...] = ()

    def __reduce__(self) -> NoReturn:
        refuse_copy(self._inner)

    def __repr__(self) -> str:
        self._loop.glance()
        return repr(self._inner)


class _Iterating(Iterator[Any]):
    """The blocking face of an asynchronous generator."""

    def __init__(self, inner: AsyncGenerator[Any, None], loop: BlockingLoop) -> None:
        self._inner = inner
        self._loop = loop
        self._ungiven: tuple[Any, ...] = ()

    def __next__(self) -> Any:
        return _following(self, lambda: _awaited(self._inner.__anext__()))

    def close(self) -> None:
        """Ends it: nothing more is asked for."""
        self._ungiven = ()
        self._loop.run(lambda: _awaited(self._inner.aclose()))


def face_class(original: type) -> type[Face]:
    """Makes the class of the blocking faces of a class."""
    members: dict[str, Any] = {
        "__slots__": (),
        "__doc__": blocking(inspect.getdoc(original) or "", original.__name__),
        "__module__": __package__,
    }
    for name in dir(original):
        if not name.startswith("_") or name in SPELLED or name in _LOOKS:
            member = _member(name, inspect.getattr_static(original, name))
            members[SPELLED.get(name, name)] = member
    base = next((_CLASSES[kind] for kind in original.__mro__ if kind in _CLASSES), Face)
    if getattr(original, "__parameters__", ()):
        members["__class_getitem__"] = classmethod(GenericAlias)
    made = _CLASSES[original] = type(original.__name__, (base,), members)
    return made


def originals() -> list[type]:
    """Returns the classes that have faces; of those with one name the last, which has all."""
    return list({kind.__name__: kind for kind in _CLASSES}.values())


def shown(value: Any, loop: BlockingLoop) -> Any:
    """Returns the face of what has one, and anything else as it is."""
    kind = _CLASSES.get(type(value))
    if kind is not None:
        # One object has one face, as long as somebody has it.
        face = loop.faces.get(id(value))
        if face is None:
            face = loop.faces[id(value)] = kind(value, loop)
        return face
    return _Iterating(value, loop) if isinstance(value, AsyncGenerator) else value


def bare(value: Any) -> Any:
    """Returns what a face stands for, and anything else as it is."""
    return value._inner if isinstance(value, Face) else value  # noqa: SLF001 - of this module


def run(value: Awaitable[Any], loop: BlockingLoop) -> Any:
    """Waits for a value, and returns its face."""
    return shown(loop.run(lambda: _awaited(value)), loop)


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


def _member(name: str, original: Any) -> Any:
    if isinstance(original, (property, functools.cached_property)):
        return _property(name, original)
    if name == "__anext__":
        return _next
    return _method(name, original)


def _property(name: str, original: Any) -> property:
    glances = name in _GLANCES

    def read(face: Any) -> Any:
        if glances:
            face._loop.glance()  # noqa: SLF001 - of this module
        with Interrupts(), face._loop.entered():  # noqa: SLF001 - of this module
            value = getattr(face._inner, name)  # noqa: SLF001
        return shown(value, face._loop)  # noqa: SLF001

    return property(read, doc=blocking(original.__doc__ or "", name))


def _following(face: Any, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Waits for the next item, unless one is there that an interrupt came beside."""
    loop: BlockingLoop = face._loop  # noqa: SLF001 - of this module
    if face._ungiven:  # noqa: SLF001
        item, *rest = face._ungiven  # noqa: SLF001
        face._ungiven = tuple(rest)  # noqa: SLF001
        return shown(item, loop)
    # Its own: another thread may ask for the item behind it.
    kept: list[Any] = []
    try:
        return shown(loop.run(make, kept.append), loop)
    except StopAsyncIteration:
        raise StopIteration from None
    except BaseException:
        face._ungiven += tuple(kept)  # noqa: SLF001
        raise


def _next(face: Any) -> Any:
    inner = face._inner  # noqa: SLF001 - of this module
    try:
        return _following(face, inner.__anext__)
    except (StopIteration, SecondReader):
        raise
    except BaseException:
        if isinstance(inner, TurnStream):
            # Perhaps interrupted beside an event, which is lost: the iteration is over. While the
            # error is handled its traceback keeps the stream, so its end would come too late.
            inner._leave()  # noqa: SLF001 - of this package
        raise


def _method(name: str, original: Callable[..., Any]) -> Any:
    if inspect.iscoroutinefunction(original):
        return _like(_waiting(name), original, SPELLED.get(name, name))
    glances = name in _GLANCES

    def call(face: Any, *args: Any, **kwargs: Any) -> Any:
        loop: BlockingLoop = face._loop  # noqa: SLF001 - of this module
        if name in CALLED and args and callable(args[0]):
            args = (called(args[0], loop), *args[1:])
        if glances:
            loop.glance()
        given = [bare(arg) for arg in args]
        named = {key: bare(value) for key, value in kwargs.items()}
        value = None
        try:
            with Interrupts(), loop.entered():
                value = getattr(face._inner, name)(*given, **named)  # noqa: SLF001
        except BaseException:
            if isinstance(value, (Turn, TurnStream)):
                # Interrupted after it was sent: nobody will have it, so nobody could stop it.
                value._flight.stop()  # noqa: SLF001 - of this package
            raise
        if name.startswith("on_"):
            return _entering(value, loop)
        # The handle of a turn can be awaited as well, and is for those who do not wait.
        if inspect.isawaitable(value) and not isinstance(value, Turn):
            return run(value, loop)
        return shown(value, loop)

    return _like(call, original, SPELLED.get(name, name))


def _waiting(name: str) -> Callable[..., Any]:
    def call(face: Any, *args: Any, **kwargs: Any) -> Any:
        given = [bare(arg) for arg in args]
        named = {key: bare(value) for key, value in kwargs.items()}
        method = getattr(face._inner, name)  # noqa: SLF001 - of this module
        make = functools.partial(method, *given, **named)
        return shown(face._loop.run(make), face._loop)  # noqa: SLF001

    return call


def called(handler: Any, loop: BlockingLoop) -> Any:
    """Calls a function of the program, and lets other threads go on meanwhile."""
    if not callable(handler) or _is_async(handler):
        return handler  # it is refused by who gets it

    @functools.wraps(handler)
    def call(*args: Any) -> Any:
        with loop.left():
            return handler(*args)

    return call


def _entering(remove: Callable[[], None], loop: BlockingLoop) -> Callable[[], None]:
    """Removes a handler while no other thread registers one."""

    def call() -> None:
        with Interrupts(), loop.entered():
            remove()

    return call


def _like(call: Any, original: Any, name: str) -> Any:
    """Makes a method look like the one it stands for."""
    call.__name__ = name
    call.__qualname__ = original.__qualname__.rpartition(".")[0] + "." + name
    call.__module__ = __package__
    call.__doc__ = blocking(original.__doc__ or "", original.__name__)
    call.__signature__ = inspect.signature(original)
    return call
