"""Turns that come to an object of a type that the program asks for (protocol section 14)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from . import _native
from ._checks import expect_prompt, expect_texts
from ._json import encode, encode_unicode
from ._jsonable import jsonable
from ._lanes import Lanes
from ._limits import DEFAULT
from ._said import kind_and_said
from ._shape import BadValue
from ._usage import with_before
from .errors import (
    InvalidOption,
    LettaAppError,
    StructuredOutputError,
    TurnAborted,
    TurnError,
    from_json,
)
from .messages import Fields, Message  # noqa: F401 - in the hints of inherited fields
from .results import (  # noqa: F401 - the same
    InputDelivery,
    RunText,
    ToolCall,
    TurnMessage,
    TurnResult,
    TurnStatus,
    Usage,
    shortened,
)

if TYPE_CHECKING:
    from ._output import Output
    from ._prompt import Prompt
    from .client import AppServerClient
    from .session import Session, TurnSettings

__all__ = ["StructuredResult", "run_structured"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, repr=False)
class StructuredResult(TurnResult, Generic[T_co]):
    """The outcome of a turn, with the object that the agent submitted.

    Everything else is as in ``TurnResult``. If the agent had to be asked again, it describes the
    second turn, except ``usage``, which is the sum of both.

    Attributes:
        output: The object, of the ``output_type`` that was asked for.
    """

    output: T_co = field(kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as plain data, ready for ``json.dumps``.

        ``from_raw`` reads it, but leaves the ``output`` as plain data.
        """
        return {**super().to_dict(), "output": jsonable(self.output)}

    def _told(self) -> list[str]:
        return [*super()._told(), f"output {shortened(repr(self.output))}"]


# Two results of one conversation would be submitted through the same registration.
_LANES: WeakKeyDictionary[AppServerClient, Lanes] = WeakKeyDictionary()


async def run_structured(
    session: Session, prompt: Prompt, output: Output, settings: TurnSettings
) -> StructuredResult[Any]:
    """See ``Session.run``."""
    prompt = json.loads(encode_unicode({"prompt": expect_prompt(prompt)}))["prompt"]
    client = session.client
    groups = session._groups()  # noqa: SLF001 - of this package
    if any(_named(tool) for group in groups for tool in group.get("tools", ())):
        name = _native.Submission.TOOL
        raise InvalidOption(f"output_type: the session already has a tool named {name!r}")
    scope = client.next_request_id(_native.Submission.TOOL)
    submission = _native.Submission(encode_unicode(output.schema), scope)
    lanes = _LANES.setdefault(client, Lanes())
    loop = client._bridge.enter()  # noqa: SLF001 - of this package
    key = (session.agent_id, session.conversation_id)
    closings = session._closings  # noqa: SLF001
    await lanes.enter(key, loop)
    try:
        return await _Handing(session, submission, output, closings).run(prompt, settings)
    finally:
        lanes.leave(key)


def _named(tool: Mapping[str, Any]) -> bool:
    return tool.get("name") == _native.Submission.TOOL


class _Handing:
    """One result that is waited for."""

    def __init__(
        self, session: Session, submission: _native.Submission, output: Output, closings: int
    ) -> None:
        self._session = session
        self._client: AppServerClient = session.client
        self._submission = submission
        self._output = output
        self._closings = closings
        self._value: Any = None
        self._bug: Exception | None = None

    async def run(self, prompt: Prompt, settings: TurnSettings) -> StructuredResult[Any]:
        """Offers the tool, asks, and takes the tool back, whatever becomes of it."""
        # Before anything is sent: what cannot be asked is refused here.
        content = self._content(prompt)
        runtime, native = self._session.runtime, self._client._native  # noqa: SLF001
        place = (self._session.agent_id, self._session.conversation_id)
        name = self._submission.TOOL
        remove = self._client.on_external_tool_call(self._taken, runtime=runtime, names=[name])
        try:
            # In a scope: other turns in this conversation do not see it.
            tool = self._output.ordered(json.loads(self._submission.tool()))
            own = {"scope_id": self._submission.scope, "tools": [tool]}
            # Tools may be any mappings.
            groups = json.dumps(json.loads(encode({"groups": [own]}))["groups"])
            command = json.loads(native.registration(*place, groups))
            native.offer_tools(*place, self._submission.scope, groups)
            link = self._client._link  # noqa: SLF001
            await link.request(command, DEFAULT, check="offer")
            asked = self._session._settings  # noqa: SLF001
            given: TurnSettings = {"resend": "if_uncommitted", **asked, **settings}
            given["allow"] = [*expect_texts("allow", given.get("allow", ())), name]
            return await self._ask(content, given)
        finally:
            remove()
            native.offer_tools(*place, self._submission.scope, None)

    def _content(self, prompt: Prompt) -> Prompt:
        content: Prompt = json.loads(self._submission.content(json.dumps(prompt)))
        return content

    async def _ask(self, content: Prompt, settings: TurnSettings) -> StructuredResult[Any]:
        before: TurnResult | None = None
        while True:
            if self._session._closings != self._closings:  # noqa: SLF001
                raise TurnAborted("the session was closed before a result was submitted")
            try:
                result = await self._session._asked(  # noqa: SLF001
                    content, settings, check=True, scopes=[self._submission.scope]
                )
            except TurnError as failed:
                if failed.result is not None:
                    failed.result = with_before(failed.result, before)
                raise
            before = result = with_before(result, before)
            if self._bug is not None:
                words = f"a check of the output type failed: {kind_and_said(self._bug)}"
                broken = StructuredOutputError(words)
                broken.result = result
                raise broken from self._bug
            calls = [call for call in result.tool_calls if call.name == self._submission.TOOL]
            refused = [call.output or "" for call in calls if call.status == "error"]
            step, repair = self._submission.turn_ended(refused)
            if step == "done":
                known = {one.name: getattr(result, one.name) for one in dataclasses.fields(result)}
                return StructuredResult(**known, output=self._value)
            if result.status == "aborted":
                # By ``close``, after which a turn does not raise.
                error: LettaAppError = TurnAborted("it was stopped before a result was submitted")
            elif repair is not None:
                content = repair
                continue
            else:
                error = from_json(self._submission.error())
            error.result = result  # type: ignore[attr-defined]
            raise error

    async def _taken(self, call: Message) -> dict[str, Any]:
        """Answers a call of the tool."""
        scope = call.raw.get("scope_id")
        late = self._submission.late(scope if isinstance(scope, str) else None)
        if late is not None:
            refused: dict[str, Any] = json.loads(late)
            return refused
        problems = self._problems(call.raw.get("input"))
        answer: dict[str, Any] = json.loads(self._submission.submitted(problems))
        return answer

    def _problems(self, arguments: Any) -> list[str]:
        """Takes the result of a call, or says what is wrong with it."""
        try:
            given = json.dumps(arguments, allow_nan=False)
        except ValueError as error:
            # A number too large for a float.
            return [str(error)]
        text, problems = self._submission.output(given)
        if text is None:
            return problems
        try:
            # The type knows more than its schema says, and may take what that would not.
            self._value = self._output.load(json.loads(text))
        except BadValue as error:
            if error.bug is None:
                return list(error.problems)
            # The program's fault, which the agent cannot mend: this tool fails, as any other does.
            self._bug = self._bug or error.bug
            words = "the program failed to check the result; do not submit it again"
            raise RuntimeError(words) from error.bug
        return []
