from __future__ import annotations

import builtins
import inspect
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

import letta_app_client as letta
from letta_app_client import _native, errors

LISTED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "tests" / "errors.json").read_text(encoding="utf-8")
)


DOCUMENTED: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "tests" / "error_classes.json").read_text(encoding="utf-8")
)
"""The classes as they are documented, for all three languages."""


def classes() -> dict[str, type[errors.LettaAppError]]:
    members = [getattr(errors, name) for name in errors.__all__]
    return {member.code: member for member in members if member.code}


def test_the_classes_are_exactly_the_kinds_of_the_engine() -> None:
    kinds = dict(_native.error_kinds())
    # A loop is a thing of Python.
    assert {code: kind.retryable for code, kind in classes().items()} == {
        **kinds,
        "wrong_loop": False,
    }
    assert len(classes()) == len(errors.__all__) - 2


def test_every_class_is_exported_and_described() -> None:
    tree = errors.__doc__ or ""
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert getattr(letta, name) is kind
        assert inspect.getdoc(kind)
        assert name in tree
        assert issubclass(kind, errors.LettaAppError)


def test_the_readme_lists_every_error_and_the_example_as_it_is() -> None:
    folder = Path(__file__).parents[1]
    readme = (folder / "README.md").read_text()
    for name in errors.__all__:
        assert f"`{name}`" in readme
    assert (folder.parent / "examples" / "python" / "quickstart.py").read_text() in readme


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (letta.InvalidOption, ValueError),
        (letta.ConnectionFailed, ConnectionError),
        (letta.RequestTimeout, TimeoutError),
        (letta.TurnTimeout, TimeoutError),
        (letta.TurnTimeout, letta.TurnError),
        (letta.TurnInterrupted, letta.TurnError),
    ],
)
def test_errors_are_also_what_python_calls_them(kind: type, builtin: type) -> None:
    assert issubclass(kind, builtin)


def engine_error(code: str, **more: object) -> errors.LettaAppError:
    empty: dict[str, object] = {
        "hint": None,
        "close_code": None,
        "response": None,
        "result": None,
        "problems": [],
    }
    return errors.from_json(json.dumps({"code": code, "message": "words", **empty, **more}))


def test_errors_from_the_engine() -> None:
    for code, kind in classes().items():
        error = engine_error(code, hint="do this")
        assert type(error) is kind
        assert str(error) == "words (do this)"
        assert error.hint == "do this"
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert (type(copy), str(copy)) == (kind, str(error))
    assert type(engine_error("a_future_kind")) is letta.InternalError


@pytest.mark.parametrize("row", LISTED, ids=lambda row: row["code"])
def test_the_list_of_all_languages(row: dict[str, Any]) -> None:
    kind = classes()[row["code"]]
    assert issubclass(kind, letta.TurnError) == row["ends_turn"]
    bare, full = (errors.from_json(json.dumps(row[form])) for form in ("bare", "full"))
    for error in (bare, full):
        assert (type(error), error.code) == (kind, row["code"])
        assert error.retryable == kind.retryable == row["retryable"]
    assert (str(bare), bare.hint) == ("what went wrong", None)
    assert (str(full), full.hint) == ("what went wrong (what to do)", "what to do")
    if row["ends_turn"]:
        assert isinstance(full, letta.TurnError)
        assert full.result == letta.TurnResult.from_raw(row["full"]["result"])


@pytest.mark.parametrize("row", DOCUMENTED["classes"], ids=lambda row: row["class"])
def test_the_tree_that_is_documented(row: dict[str, Any]) -> None:
    kind = getattr(letta, row["class"])
    if row["base"] is not None:
        assert kind.__bases__[0] is getattr(letta, row["base"])
    assert row["python"] is None or issubclass(kind, getattr(builtins, row["python"]))
    assert (kind.code, kind.retryable) == (row["code"] or "", row["retryable"])
    # What a base has, every class of its own has.
    carrying = [errors.from_json(json.dumps(one["full"])) for one in LISTED]
    full = [error for error in carrying if isinstance(error, kind)]
    if row["class"] == "WrongLoop":
        full = [letta.WrongLoop("what went wrong", hint="what to do")]
    assert full
    for error in full:
        assert error.hint == "what to do"
        for name in row["own"]:
            value = getattr(error, name)
            if isinstance(value, letta.TurnResult):
                value = value.text
            elif isinstance(value, letta.Message):
                value = value.raw
            elif isinstance(value, tuple):
                value = list(value)
            assert value == DOCUMENTED["own"][name], name


def test_no_class_is_undocumented() -> None:
    assert sorted(row["class"] for row in DOCUMENTED["classes"]) == sorted(errors.__all__)


def test_the_list_is_complete() -> None:
    # Which loop and which process a client belongs to is known in Python alone.
    assert {row["code"] for row in LISTED} == set(classes()) - {"wrong_loop"}


def test_errors_carry_what_is_known() -> None:
    lost = engine_error("disconnected", close_code=1006)
    assert isinstance(lost, letta.Disconnected)
    assert (lost.reason, lost.close_code, lost.will_reconnect) == ("words", 1006, False)
    refused = engine_error("request", response='{"type":"x_response","success":false}')
    assert isinstance(refused, letta.RequestError)
    assert refused.response is not None
    assert refused.response.type == "x_response"
    result = {"runtime": {"agent_id": "a", "conversation_id": "c"}, "text": "so far"}
    failed = engine_error("turn_interrupted", result=result, close_code=1001)
    assert isinstance(failed, letta.TurnError)
    assert failed.result is not None
    assert (failed.result.text, failed.close_code) == ("so far", 1001)
    unfit = engine_error("structured_output", result=result, problems=["line: is missing"])
    assert isinstance(unfit, letta.StructuredOutputError)
    assert (unfit.text, unfit.errors) == ("so far", ("line: is missing",))


def test_the_engine_says_whether_to_try_again() -> None:
    said = engine_error("connection_failed", retryable=False)
    assert (said.retryable, letta.ConnectionFailed.retryable) == (False, True)
    assert engine_error("auth", retryable=True).retryable
    assert pickle.loads(pickle.dumps(said)).retryable is False  # noqa: S301


def test_an_error_of_the_users_own_making() -> None:
    error = letta.ConnectionFailed("gone")
    assert (str(error), error.hint, error.code) == ("gone", None, "connection_failed")
    assert str(letta.LettaAppError()) == ""
    refused = errors.refusal(letta.Message('{"type":"a_response","error":{"message":"no quota"}}'))
    assert str(refused) == "`a` was refused: no quota"
