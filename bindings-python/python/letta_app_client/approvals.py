"""Permission requests as objects, and the types of what answers them."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from ._decode import decode
from ._rich import Rich
from .decisions import Decision, Suggestion, allow
from .messages import Fields, Message

__all__ = [
    "ApprovalHandler",
    "ApprovalMode",
    "ApprovalRequest",
    "Question",
    "QuestionOption",
]


@dataclass(frozen=True, slots=True)
class QuestionOption:
    """One answer that the agent offers.

    Attributes:
        label: The answer, as it is given back.
        description: What it means.
    """

    label: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One question that the agent asks the user.

    Attributes:
        question: The question, and the key of its answer.
        header: A short title.
        options: The answers that are offered; any other text is accepted as well.
        multi_select: Whether several may be chosen.
    """

    question: str
    header: str = ""
    options: tuple[QuestionOption, ...] = ()
    multi_select: bool = False


class ApprovalRequest(Rich):
    """A permission that the agent wants (protocol section 13).

    It is immutable. It can be matched by tool and arguments:
    ``case ApprovalRequest("Bash", input)``.
    """

    __slots__ = ("_cancelled", "_message")
    __match_args__ = ("tool_name", "input")
    _rich: ClassVar[str] = "request"
    _cancelled: threading.Event
    _message: Message

    def __init__(self, message: Message | str) -> None:
        """Takes a ``control_request``, as a frame or as its wire text."""
        frame = decode(message) if isinstance(message, str) else message
        object.__setattr__(self, "_message", frame)
        object.__setattr__(self, "_cancelled", threading.Event())

    @classmethod
    def of_own(cls, text: str, cancelled: threading.Event) -> ApprovalRequest:
        """Makes a request of this program's own, with what is set when it is not wanted any more.

        Args:
            text: A ``control_request`` as text.
            cancelled: Becomes ``cancelled``.
        """
        request = cls(text)
        object.__setattr__(request, "_cancelled", cancelled)
        return request

    @property
    def cancelled(self) -> threading.Event:
        """Is set when the answer is no longer wanted.

        That is when the turn was stopped, the connection has ended, or somebody else answered
        first. A handler in a thread cannot be cancelled, so one that takes long should look here
        (``is_set()``, ``wait(seconds)``); an ``async def`` is cancelled as well.
        """
        return self._cancelled

    @property
    def request_id(self) -> str:
        """The server's id of the request, which an answer through ``client.input`` has to name."""
        return _text(self.raw, "request_id")

    @property
    def tool_name(self) -> str:
        """The tool that wants to run."""
        return _text(self._request, "tool_name")

    @property
    def input(self) -> Fields:
        """Its arguments, as a mapping that cannot be changed."""
        given = self._request.get("input")
        return Fields(given if isinstance(given, dict) else {})

    @property
    def tool_call_id(self) -> str:
        """The model's id of the call."""
        return _text(self._request, "tool_call_id")

    @property
    def suggestions(self) -> tuple[Suggestion, ...]:
        """Rules that the server offers to store when you allow the call."""
        offered = _objects(self._request.get("permission_suggestions"))
        return tuple(Suggestion(_text(one, "id"), _text(one, "text")) for one in offered)

    @property
    def blocked_path(self) -> str | None:
        """The path outside the allowed folders that caused the request, if there is one."""
        path = self._request.get("blocked_path")
        return path if isinstance(path, str) else None

    @property
    def diffs(self) -> tuple[Fields, ...]:
        """What the tool would change in files, as the server describes it."""
        return tuple(Fields(one) for one in _objects(self._request.get("diffs")))

    @property
    def runtime(self) -> Fields:
        """The agent and the conversation, usable as ``runtime=`` of a command."""
        scope = self.raw.get("runtime")
        if isinstance(scope, dict):
            return Fields(scope)
        return Fields({name: self.raw.get(name) for name in ("agent_id", "conversation_id")})

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions of an ``AskUserQuestion``; empty for every other tool. See ``answer``."""
        if self.tool_name != "AskUserQuestion":
            return ()
        return tuple(_question(one) for one in _objects(self.input.raw.get("questions")))

    def answer(self, answers: Mapping[str, str | Iterable[str]]) -> Decision:
        """Makes the decision that answers the agent's questions.

        Args:
            answers: For each question, the label of the chosen option or any other text; for a
                question with ``multi_select``, several, which are joined by commas.

        Raises:
            ValueError: The request does not ask such a question.
            TypeError: ``answers`` is not a mapping, or an answer is not text.
        """
        given: object = answers
        if not isinstance(given, Mapping):
            kind = type(given).__name__
            raise TypeError(f"answers: expected a mapping from questions to answers, got {kind}")
        known = {one.question for one in self.questions}
        for question in answers:
            if question not in known:
                raise ValueError(f"the request does not ask {question!r}")
        chosen = {question: _answer(question, answer) for question, answer in answers.items()}
        return allow(updated_input={**self.input.to_dict(), "answers": chosen})

    @property
    def raw(self) -> dict[str, Any]:
        """The ``control_request`` as a plain ``dict``. Do not change it; see ``to_dict``."""
        return self._message.raw

    @property
    def raw_text(self) -> str:
        """The ``control_request`` as it came over the wire.

        If the request is known only from the device status, the text is made from that.
        """
        return self._message.raw_text

    def to_dict(self) -> dict[str, Any]:
        """Returns a copy of the plain ``dict`` that may be changed."""
        return self._message.to_dict()

    @property
    def _request(self) -> dict[str, Any]:
        request = self.raw.get("request")
        return request if isinstance(request, dict) else {}

    def __setattr__(self, name: str, _value: object) -> None:
        raise AttributeError(f"ApprovalRequest is immutable; cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"ApprovalRequest is immutable; cannot delete {name!r}")

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, ApprovalRequest) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.request_id)

    def __reduce__(self) -> tuple[Any, ...]:
        return ApprovalRequest, (self.raw_text,)

    def __repr__(self) -> str:
        return f"ApprovalRequest({self.tool_name!r}, {self.input.raw!r}, id={self.request_id!r})"


Answered: TypeAlias = Decision | Mapping[str, Any]

ApprovalHandler: TypeAlias = Callable[[ApprovalRequest], Answered | Awaitable[Answered]]
"""Decides on permission requests: returns ``allow(…)``, ``deny(…)``, or a decision as it goes over
the wire."""

ApprovalMode: TypeAlias = Literal["pause", "wait", "deny", "ask_or_deny", "raise"]
"""What happens to a permission request for which there is no handler."""


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _answer(question: str, answer: Any) -> str:
    if isinstance(answer, str):
        return answer
    where = f"answers[{question!r}]"
    if isinstance(answer, (bytes, Mapping)) or not isinstance(answer, Iterable):
        raise TypeError(f"{where}: expected text or several texts, got {type(answer).__name__}")
    several = list(answer)
    for one in several:
        if not isinstance(one, str):
            raise TypeError(f"{where}: expected texts, got {type(one).__name__}")
    return ", ".join(several)


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _question(fields: dict[str, Any]) -> Question:
    options = tuple(
        QuestionOption(_text(one, "label"), _text(one, "description"))
        for one in _objects(fields.get("options"))
    )
    several = fields.get("multiSelect") is True
    return Question(_text(fields, "question"), _text(fields, "header"), options, several)
