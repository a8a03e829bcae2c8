"""Checks of an output type that fail: what is a complaint about the result, and what a bug."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest

import letta_app_client as letta
from letta_app_client.testing import MockServer

from .test_structured import inputs, run, submit

pytestmark = pytest.mark.anyio


class Validated(pydantic.BaseModel):
    file: str
    line: int

    @pydantic.field_validator("line")
    @classmethod
    def known(cls, line: int) -> int:
        return {3: line}[line]


@dataclass
class Broken:
    line: int

    def __post_init__(self) -> None:
        assert self.line != 1, "not that line"
        raise TypeError("my bug")


@dataclass
class Inner:
    parts: list[Broken | int]


@pytest.mark.parametrize(
    ("kind", "arguments", "bug"),
    [
        (Broken, {"line": 2}, "TypeError: my bug"),
        (Inner, {"parts": [{"line": 2}]}, "TypeError: my bug"),
        (Validated, {"file": "a", "line": 7}, "KeyError: 7"),
        (list[Validated], {"result": [{"file": "a", "line": 7}]}, "KeyError: 7"),
    ],
)
async def test_a_bug_in_a_check_is_no_fault_of_the_agent(
    scripted: Callable[..., MockServer],
    caplog: pytest.LogCaptureFixture,
    kind: Any,
    arguments: dict[str, Any],
    bug: str,
) -> None:
    mock = scripted(submit(arguments, text="Done."))
    with pytest.raises(letta.StructuredOutputError) as caught:
        await run(mock, kind)
    error, cause = caught.value, caught.value.__cause__
    assert str(error) == f"a check of the output type failed: {bug}"
    assert type(cause).__name__ == bug.partition(":")[0]
    assert (error.errors, error.text, error.retryable) == ((), "Done.", False)
    # It is neither told that its data are wrong nor asked again.
    (response,) = [f.raw for f in mock.received if f.type == "external_tool_call_response"]
    assert response["error"] == "the program failed to check the result; do not submit it again"
    assert len(inputs(mock)) == 1
    assert "the program failed to check the result" in caplog.text


async def test_an_assertion_is_a_complaint(scripted: Callable[..., MockServer]) -> None:
    mock = scripted(submit({"line": 1}))
    with pytest.raises(letta.StructuredOutputError, match="not that line") as caught:
        await run(mock, Broken)
    assert caught.value.__cause__ is None
    assert len(inputs(mock)) == 2
