"""Whether options are of their types. Their values are checked by the engine."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Collection, Iterable, Mapping
from typing import Any

from ._misspelt import meant
from .errors import InvalidCommand, InvalidOption

__all__ = [
    "expect",
    "expect_names",
    "expect_path",
    "expect_prompt",
    "expect_prompts",
    "expect_text",
    "expect_texts",
    "kind_of",
    "runtime_ids",
]


def expect(name: str, value: object, wanted: str, kinds: tuple[type, ...]) -> None:
    """Checks the type of an option. The message has no values: one may be a token.

    Raises:
        InvalidOption: It is of another type.
    """
    # A truth value is an int, but nobody means one of 1 s.
    is_wrong_bool = isinstance(value, bool) and bool not in kinds
    if not isinstance(value, kinds) or is_wrong_bool:
        raise InvalidOption(f"{name}: expected {wanted}, got {kind_of(value)}")


def expect_names(
    method: str, given: Iterable[str], known: Collection[str], others: Iterable[str] = ()
) -> None:
    """Checks that keyword arguments are ones that a method passes on.

    Args:
        method: What the user called.
        given: The names.
        known: All that there are.
        others: The method's own ones, which a misspelt one may have been meant for too.

    Raises:
        TypeError: One of them is none, as Python would say it of the method itself.
    """
    for name in given:
        if name not in known:
            raise _unexpected(method, name, (*known, *others))


def _unexpected(method: str, name: str, known: Iterable[str]) -> TypeError:
    text = f"{method}() got an unexpected keyword argument {name!r}"
    if name == "output_type":
        return TypeError(f"{text}: only Session.run() and map() wait for such a result")
    near = meant(name, known)
    return TypeError(text if near is None else f"{text}. Did you mean {near!r}?")


def expect_text(name: str, value: object) -> None:
    """Checks that an option is text, and Unicode.

    Raises:
        InvalidOption: It is not.
    """
    expect(name, value, "text", (str,))
    try:
        str(value).encode()
    except UnicodeEncodeError:
        raise InvalidOption(
            f"{name}: the text contains half a surrogate pair, which is not Unicode"
        ) from None


def kind_of(value: object) -> str:
    """What a value is, in words: a blocking object has the name of the one it stands for."""
    kind = type(value)
    if isinstance(value, Awaitable):
        return f"{kind.__name__}, which is not awaited yet"
    blocks = kind.__module__ == f"{__package__}.sync"
    return f"a blocking {kind.__name__}" if blocks else kind.__name__


def expect_texts(name: str, values: Any) -> list[str]:
    """Checks that an option is several texts, and not one, which is several letters.

    Raises:
        InvalidOption: It is not.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidOption(f"{name}: expected several strings, got {type(values).__name__}")
    found = list(values)
    for value in found:
        expect_text(name, value)
    return found


def expect_path(name: str, value: object) -> str:
    """Checks that an option is a path, and returns its text.

    Raises:
        InvalidOption: It is not.
    """
    expect(name, value, "a path", (str, os.PathLike))
    text: object = os.fspath(value)  # type: ignore[call-overload]
    expect_text(name, text)
    if "\0" in str(text):
        # No system has such a path; Python itself would find out later, without the name.
        raise InvalidOption(f"{name}: expected a path without a NUL character, got {text!r}")
    return str(text)


def expect_prompt(prompt: Any) -> Any:
    """Checks that a prompt is text or parts, and returns it so that it can be read again.

    Raises:
        InvalidCommand: It is not.
    """
    if isinstance(prompt, str):
        return prompt
    if type(prompt) is not list and _is_table(prompt):
        what = "table" if hasattr(prompt, "columns") else "column"
        raise InvalidCommand(
            f"prompt: expected text or a list of parts, got a {what} ({type(prompt).__name__})",
            hint="pass text; for a prompt from each row, use map with a column of texts",
        )
    if isinstance(prompt, (bytes, Mapping)) or not isinstance(prompt, Iterable):
        kind = type(prompt).__name__
        raise InvalidCommand(f"prompt: expected text or a list of parts, got {kind}")
    return list(prompt)


def expect_prompts(prompts: Any) -> list[Any]:
    """Checks that there are several prompts, and returns them.

    What has names gives those when it is iterated over: they would be sent instead of what they
    stand for.

    Raises:
        InvalidOption: It is not.
    """
    kind = kind_of(prompts)
    if isinstance(prompts, (str, bytes)):
        raise InvalidOption("prompts: expected several, got a single string")
    if isinstance(prompts, Mapping):
        hint = "pass its values: list(prompts.values())"
        raise InvalidOption(f"prompts: expected several, got a mapping ({kind})", hint=hint)
    if _is_table(prompts) and hasattr(prompts, "columns"):
        hint = 'pass one of its columns: frame["name"]'
        raise InvalidOption(f"prompts: expected several, got a table ({kind})", hint=hint)
    if not isinstance(prompts, Iterable):
        raise InvalidOption(f"prompts: expected several, got {kind}", hint="pass a list of strings")
    return list(prompts)


def _is_table(value: Any) -> bool:
    from ._frames import is_frame  # noqa: PLC0415 - for those who give something else than text

    return is_frame(value)


def runtime_ids(runtime: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Checks a runtime that is an option, and returns the ids of agent and conversation.

    Raises:
        InvalidOption: It is not a runtime.
    """
    if runtime is None:
        return None
    expect("runtime", runtime, "a mapping", (Mapping,))
    names = ("agent_id", "conversation_id")
    agent, conversation = (runtime.get(name) for name in names)
    for name, value in zip(names, (agent, conversation), strict=True):
        expect_text(f"runtime.{name}", value)
    return str(agent), str(conversation)
