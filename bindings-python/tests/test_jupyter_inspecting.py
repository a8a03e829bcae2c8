"""What agents are told of a notebook's variables, whatever these are."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

import letta_app_client as letta
from letta_app_client.jupyter import _front, _inspecting
from letta_app_client.jupyter._brief import brief
from letta_app_client.jupyter._render import bundle
from letta_app_client.jupyter._story import Said, Story
from tests.tool_values import complaint_of


class Lazy:
    @property
    def shape(self) -> NoReturn:
        raise RuntimeError("not computed yet")

    def __repr__(self) -> str:
        return "<lazy>"


class Shaped:
    shape = (2, None)


class Fragile:
    """Must not be looked at: there is no room for it."""

    def __repr__(self) -> NoReturn:
        raise AssertionError("looked at")


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    made: dict[str, Any] = {}
    monkeypatch.setattr(_inspecting, "names", lambda _wanted: made)
    return made


def test_a_variable_whose_shape_cannot_be_had_is_listed(space: dict[str, Any]) -> None:
    space.update(lazy=Lazy(), text="abc", shaped=Shaped())
    assert letta.jupyter.variables() == [
        {"name": "lazy", "type": "Lazy"},
        {"name": "text", "type": "str", "length": 3},
        {"name": "shaped", "type": "Shaped", "shape": [2, "None"]},
    ]
    assert letta.jupyter.inspect("lazy") == "name lazy, type Lazy\n<lazy>"


@pytest.mark.parametrize(
    "value",
    [
        *([], [1, "a'b"], (), (1,), (1, 2), {}, {"b": [1], "a": {2}}, {"deep": [[[[1]]]]}),
        *(set(), {3}, frozenset(), frozenset({1}), b"x", None, 1.5, "text"),
    ],
)
def test_what_is_short_is_its_representation(value: object) -> None:
    assert brief(value, 100) == repr(value)


def test_no_more_is_made_than_is_shown(space: dict[str, Any]) -> None:
    fragile: list[Any] = [Fragile()]
    space.update(
        big=["x" * 100] * 50 + fragile,
        nested=[[["x" * 3000, "y" * 2000], fragile], fragile],
        table={"a" * 5000: Fragile()},
        text="z" * 5000,
    )
    for name in ("big", "nested", "table", "text"):
        shown = letta.jupyter.inspect(name)
        assert 3900 < len(shown) < 4100
        assert shown.endswith("…")
    circle: list[Any] = []
    circle += [circle, circle]
    space["circle"] = circle
    assert len(letta.jupyter.inspect("circle")) < 4100


def test_an_output_has_nothing_that_a_terminal_obeys() -> None:
    story = Story()
    story.items.append(
        Said(is_thought=False, pieces=["a\x1b]0;b\x07\r\nc\td\x9b2J\u202ee\u2066\u2028"])
    )
    plain = bundle(story, 0)["text/plain"]
    assert plain.startswith("a�]0;b�\nc\td�2J�e��\n")


@pytest.mark.anyio
async def test_a_name_that_is_none_is_told_to_the_model_and_not_to_the_log(
    space: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    space.update(df=1)
    words = "the notebook has no variable 'nope'; there are: df"
    assert await complaint_of(letta.jupyter.inspect, {"name": "nope"}) == words
    assert caplog.records == []


def test_in_a_terminal_nobody_is_asked_and_the_reason_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_front, "kernel", lambda _wanted="": None)
    decision = letta.jupyter.ask(letta.ApprovalRequest("{}"))
    assert decision.behavior == "deny"
    assert "nobody can be asked in a terminal: letta.jupyter.ask" in str(decision.message)
    assert "nobody can be asked in a terminal: run_cell" in str(_front.why_unattended("run_cell"))
