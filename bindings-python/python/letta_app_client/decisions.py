"""What is answered to a permission request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Decision", "Suggestion", "allow", "deny"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A rule that the server offers to store when you allow a call (protocol section 13).

    Attributes:
        id: The id to pass to ``allow(suggestions=…)``.
        text: What the rule would allow, in words for people.
    """

    id: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision on a permission request; ``allow`` and ``deny`` make one.

    Attributes:
        behavior: ``allow`` or ``deny``.
        message: What the agent is told; a denial always has one.
        updated_input: The arguments with which the tool runs instead of its own; ``None`` to keep
            its own.
        suggestions: The ids of the suggested rules that the server should store.
    """

    behavior: Literal["allow", "deny"]
    message: str | None = None
    updated_input: Mapping[str, Any] | None = None
    suggestions: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns the decision as it goes over the wire."""
        plain: dict[str, Any] = {"behavior": self.behavior}
        if self.message is not None:
            plain["message"] = self.message
        if self.updated_input is not None:
            plain["updated_input"] = dict(self.updated_input)
        if self.suggestions:
            plain["selected_permission_suggestion_ids"] = list(self.suggestions)
        return plain


def allow(
    *,
    updated_input: Mapping[str, Any] | None = None,
    suggestions: Suggestion | str | Iterable[Suggestion | str] = (),
    message: str | None = None,
) -> Decision:
    """Makes the decision that the tool may run (protocol section 13).

    Args:
        updated_input: Arguments to run the tool with; they replace all of its own.
        suggestions: Suggested rules to store, from ``ApprovalRequest.suggestions``, or their ids.
        message: What the agent is told.

    Raises:
        TypeError: An argument is of another type.
    """
    given: object = updated_input
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"updated_input: expected a mapping, got {type(given).__name__}")
    ids = _ids(suggestions)
    if message is not None:
        _expect_texts("message", message)
    return Decision("allow", message, updated_input, ids)


def deny(message: str) -> Decision:
    """Makes the decision that the tool must not run (protocol section 13).

    Args:
        message: The reason; it becomes the result of the tool call.

    Raises:
        TypeError: The message is not text.
    """
    _expect_texts("message", message)
    return Decision("deny", message)


def _ids(suggestions: Any) -> tuple[str, ...]:
    if isinstance(suggestions, (str, Suggestion)):
        suggestions = (suggestions,)
    kind = type(suggestions).__name__
    if isinstance(suggestions, (bytes, Mapping)) or not isinstance(suggestions, Iterable):
        raise TypeError(f"suggestions: expected suggestions or their ids, got {kind}")
    ids = tuple(one.id if isinstance(one, Suggestion) else one for one in suggestions)
    _expect_texts("suggestions", *ids)
    return ids


def _expect_texts(name: str, *values: object) -> None:
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{name}: expected text, got {type(value).__name__}")
