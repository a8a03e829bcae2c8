"""Tools from functions: the model sees their type hints, and they get what they hint at.

::

    @letta.tool
    def weather(city: Annotated[str, "Name of the city"], days: int = 1) -> str:
        \"\"\"Forecast the weather.\"\"\"
        ...

    tools = letta.ToolSet([weather])
    client.on_external_tool_call(tools)
    started = await client.runtime_start(agent_id=agent_id, external_tools=tools.external_tools)
"""

from __future__ import annotations

import functools
import inspect
import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, ParamSpec, TypeVar, overload

from . import _native
from ._checks import expect_text
from ._jobs import _is_async
from ._shape import BadValue
from ._signature import Signature
from ._toolcontext import ToolContext
from ._toolresult import error_result
from ._toolrun import run
from ._toolwatch import returned
from .errors import InvalidOption
from .messages import Message

__all__ = ["Tool", "ToolContext", "ToolSet", "tool"]

P = ParamSpec("P")
R = TypeVar("R")


class Tool(Generic[P, R]):
    """A function that a model can call; made by ``tool``. It can still be called as before.

    It is pickled like a function: by its name in its module, where that is this tool.

    Attributes:
        function: The function itself.
        name: What the model calls it.
        label: What people see, where it is another name.
        description: What it is for, as the model reads it.
    """

    __name__: str
    __qualname__: str

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        label: str | None = None,
        description: str | None = None,
        namespace: Mapping[str, Any] | None = None,
    ) -> None:
        """Understands a function; ``tool`` says how.

        Args:
            function: The function.
            name: Its name for the model, where it is not the function's own.
            label: Its name for people.
            description: What it is for, instead of what its docstring says.
            namespace: The local names where it was defined, for hints that are texts.

        Raises:
            InvalidOption: The name is not usable.
            TypeError: ``function`` is not a function, or a model cannot be told of a parameter.
        """
        given: object = function
        if not callable(given):
            raise TypeError(f"tool: expected a function, got {type(given).__name__}")
        if isinstance(given, Tool):
            raise TypeError(
                f"tool: {given!r} is a tool already; use its ``function`` to make another one"
            )
        self.name = name if name is not None else getattr(function, "__name__", "")
        problem = _native.check_tool_name(self.name)
        if problem is not None:
            raise InvalidOption(f"name: {problem}")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{self.name}: a tool returns its result, it cannot yield it")
        try:
            self._signature = Signature(function, namespace or {})
        except TypeError as error:
            raise TypeError(f"tool {self.name}: {error}") from error
        self.function = function
        self.label = label
        said = self._signature.documentation.description
        self.description = said if description is None else description
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls the function, with nothing converted or checked."""
        return self.function(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        """Whether it is an ``async def``, which runs on the loop. Others run in a thread."""
        return _is_async(self.function)

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of its arguments; a copy, as is ``definition``.

        In that, a required parameter that may be null is one that may be left out, and is ``None``
        then: the server itself refuses a call in which a required parameter is missing, or null.
        """
        return self._signature.schema()

    @property
    def definition(self) -> dict[str, Any]:
        """How it is registered (protocol section 14)."""
        label = {} if self.label is None else {"label": self.label}
        return {
            "name": self.name,
            **label,
            "description": self.description,
            "parameters": self._signature.registered(),
        }

    def load(self, arguments: Any, context: ToolContext | None = None) -> dict[str, Any]:
        """Makes keyword arguments for the function out of what a model wrote.

        Args:
            arguments: The arguments, as parsed JSON.
            context: What parameters with the hint ``ToolContext`` get.

        Raises:
            ValueError: They are not what the hints ask for. Each line of the message names one
                field, what was expected and what came.
        """
        try:
            return self._signature.load(arguments, context)
        except BadValue as error:
            lines = "\n".join(f"- {problem}" for problem in error.problems)
            raise ValueError(f"invalid arguments for {self.name}:\n{lines}") from None

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Is what functions are pickled as: the name under which it is found.

        cloudpickle, also as a part of another package, takes functions of the program itself
        along, and so it does with a tool.
        """
        caller = inspect.currentframe()
        above = None if caller is None else caller.f_back
        home = "" if above is None else str(above.f_globals.get("__name__"))
        if "cloudpickle" not in home.split(".") and _found(self) is self:
            return self.__qualname__
        return super().__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"


class ToolSet:
    """Tools of different names: what to register, and the function that answers their calls.

    ``client.on_external_tool_call(tools)`` lets it answer. The arguments are first converted to the
    hinted types; if they do not fit, the model is told so and nothing is called. An ``async def``
    runs on the client's loop, any other function in a thread of its own. An exception's message
    becomes an error result; its traceback goes to the log. When a call's answer is no longer
    wanted, ``ToolContext.cancelled`` is set and an ``async def`` is cancelled.

    Attributes:
        scope_id: The scope that an input has to name in ``external_tool_scope_ids`` for the model
            to see these tools; ``None`` for tools that it always sees. A session with these tools
            names the scope in its inputs.
    """

    def __init__(
        self, tools: Iterable[Tool[..., Any] | Callable[..., Any]] = (), scope_id: str | None = None
    ) -> None:
        """Takes tools, or functions to make them from; a set also brings its scope.

        Raises:
            InvalidOption: Two have the same name, or the scope is no text.
            TypeError: A function cannot be a tool.
        """
        if scope_id is None and isinstance(tools, ToolSet):
            scope_id = tools.scope_id
        if scope_id is not None:
            expect_text("scope_id", scope_id)
        self.scope_id: str | None = scope_id
        _expect_several(tools)
        self._tools: dict[str, Tool[..., Any]] = {}
        for given in tools:
            made = given if isinstance(given, Tool) else Tool(given)
            if made.name in self._tools:
                raise InvalidOption(f"tools: two have the name {made.name!r}")
            self._tools[made.name] = made

    @property
    def external_tools(self) -> list[dict[str, Any]]:
        """The list of one group for ``external_tools=`` (protocol section 14).

        ``runtime_start`` and ``runtime_external_tools_update`` take it.
        """
        scope = {} if self.scope_id is None else {"scope_id": self.scope_id}
        return [{**scope, "tools": [one.definition for one in self]}]

    async def __call__(self, call: Message) -> dict[str, Any]:
        """Answers an ``external_tool_call_request`` with the ``result`` of its response.

        Cancelling it sets the ``cancelled`` of the call, and cancels the tool where it can be.

        Raises:
            CancelledError: It was cancelled (on trio, ``Cancelled``).
        """
        name = call.get("tool_name")
        found = self._tools.get(name) if isinstance(name, str) else None
        if found is None:
            names = ", ".join(self._tools) or "none"
            return error_result(f"there is no tool {name!r} (there are: {names})")
        context = ToolContext(call.get("tool_call_id") or "", found.name, call.get("runtime"))
        try:
            arguments = found.load(call.raw.get("input"), context)
        except ValueError as error:
            return error_result(str(error))
        call_tool = functools.partial(found.function, **arguments)
        result = await run(found.name, call_tool, context)
        returned(context.call_id, result)
        return result

    def __getitem__(self, name: str) -> Tool[..., Any]:
        return self._tools[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[Tool[..., Any]]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __repr__(self) -> str:
        return f"ToolSet({list(self._tools)})"


@overload
def tool(
    function: Callable[P, R],
    /,
    *,
    name: str | None = None,
    label: str | None = None,
    description: str | None = None,
) -> Tool[P, R]: ...
@overload
def tool(
    *, name: str | None = None, label: str | None = None, description: str | None = None
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    label: str | None = None,
    description: str | None = None,
) -> Tool[P, R] | Callable[[Callable[P, R]], Tool[P, R]]:
    """Makes a tool from a function: ``@tool``, ``@tool(name=…)``, or ``tool(thing.method)``.

    The JSON Schema comes from the type hints: ``str``, ``int``, ``float``, ``bool``, ``None``,
    lists, tuples, sets, mappings, unions, ``Literal``, enums (by value, or by name if JSON has no
    such values), dataclasses, ``TypedDict``, named tuples, pydantic models and types, ``bytes`` (as
    base64), ``datetime``, ``date``, ``time``, ``UUID``, ``Path``. A missing hint, ``Any`` and
    ``object`` accept any value. A default makes a parameter optional. Text in ``Annotated`` and the
    docstring (Google, numpy or reStructuredText style) describe the parameters. A parameter with
    the hint ``ToolContext`` receives the context; the model does not see that parameter.

    In a union a value is read as the first type that fits, in the order written.

    Nothing is sent: a ``ToolSet`` holds what is registered for the tool, and answers its calls.

    Args:
        function: A function or an ``async def``.
        name: Its name for the model, where it is not the function's own.
        label: Its name for people.
        description: What it is for; without it, the text of the docstring before its first section.

    Raises:
        InvalidOption: The name is not usable.
        TypeError: A parameter is ``*args``, ``**kwargs`` or positional-only, or has a hint that
            JSON cannot express, or that cannot be resolved.
    """
    # Hints that are texts may name what is local to whoever defines the function.
    names = _locals_of_caller(inspect.currentframe())

    def make(function: Callable[P, R]) -> Tool[P, R]:
        return Tool(function, name=name, label=label, description=description, namespace=names)

    return make if function is None else make(function)


def _found(made: Tool[..., Any]) -> object:
    """What stands in a module under the name of a tool."""
    name = getattr(made, "__qualname__", "")
    try:
        return operator.attrgetter(name)(sys.modules[made.__module__])
    except (AttributeError, KeyError):
        return None


def _locals_of_caller(frame: Any) -> dict[str, Any]:
    return {} if frame is None or frame.f_back is None else dict(frame.f_back.f_locals)


def _expect_several(tools: object) -> None:
    # A text is several as well: letters.
    if isinstance(tools, (str, bytes)) or not isinstance(tools, Iterable):
        raise InvalidOption(f"tools: expected several functions, got {type(tools).__name__}")
