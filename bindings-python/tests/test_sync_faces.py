"""The blocking package has what the asynchronous one has."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import letta_app_client as letta
from letta_app_client import sync
from letta_app_client.sync._faces import SPELLED, originals
from letta_app_client.sync._sentences import SENTENCES
from letta_app_client.sync._words import anywhere

KINDS = originals()


def members(original: type) -> dict[str, Any]:
    """The public attributes of a class, by the names they have without an event loop."""
    names = [name for name in dir(original) if not name.startswith("_") or name in SPELLED]
    return {SPELLED.get(name, name): inspect.getattr_static(original, name) for name in names}


def parameters(function: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def test_the_package_has_the_same_names() -> None:
    awaited = {"Connecting", "Opening", "Spawning", "WrongLoop"}
    assert set(sync.__all__) == set(letta.__all__) - awaited
    assert set(sync.__all__) <= set(dir(sync))
    for name in sync.__all__:
        member = getattr(sync, name)
        assert not inspect.isclass(member) or inspect.getdoc(member), name
    with pytest.raises(AttributeError, match="Opening"):
        getattr(sync, "Opening")  # noqa: B009 - type checkers know that it is not there


@pytest.mark.parametrize("original", KINDS, ids=lambda kind: kind.__name__)
def test_the_classes_have_the_same_methods_with_the_same_signatures(original: type) -> None:
    face = getattr(sync, original.__name__)
    theirs = members(original)
    assert {name for name in dir(face) if not name.startswith("_")} <= set(theirs)
    for name, member in theirs.items():
        mine = inspect.getattr_static(face, name)
        if name == "__next__":
            assert callable(mine)
            continue
        if inspect.isfunction(member):
            assert not inspect.iscoroutinefunction(mine)
            assert parameters(mine) == parameters(member), name
        else:
            assert isinstance(mine, property), name
        assert inspect.getdoc(mine) or not inspect.getdoc(member), name


FUNCTIONS = ["connect", "create_app_server_client", "gather", "map", "spawn_server"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_functions_have_the_same_signatures(name: str) -> None:
    ours, theirs = getattr(sync, name), getattr(letta, name)
    assert ours is not theirs
    assert parameters(ours) == parameters(theirs)


ASYNCHRONOUS = re.compile(
    r"await|\basync|\bAsync|event loop|the loop's|[Cc]oroutine|\b[Tt]asks?\b|\btrio\b|uvloop"
    r"|[Cc]ancelling|\b[Rr]esolves?\b|``(Connecting|Opening|Spawning|WrongLoop)``"
)


def said() -> Iterator[tuple[str, str]]:
    """What is said of each class, member and function, while a program runs and to editors."""
    for kind in KINDS:
        face = getattr(sync, kind.__name__)
        yield face.__name__, face.__doc__
        for name in members(kind):
            member = inspect.getattr_static(face, name)
            yield f"{face.__name__}.{name}", inspect.getdoc(member) or ""
    for name in FUNCTIONS:
        yield name, getattr(sync, name).__doc__
    stub = Path(inspect.getfile(sync)).with_suffix(".pyi").read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(stub)):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield f"{node.name} of the stub", ast.get_docstring(node) or ""


def test_nothing_asynchronous_is_in_what_is_said() -> None:
    for name, text in said():
        # Tools and functions that decide may be such.
        found = ASYNCHRONOUS.search(text.replace("``async def``", "").replace("asynchronously", ""))
        assert found is None, f"{name}: {found and found[0]!r}\n{text}"


def test_a_turn_is_shown_with_its_result() -> None:
    assert "    result = turn.result()" in (sync.Turn.__doc__ or "")
    assert "all of one client" in re.sub(r"\s+", " ", sync.gather.__doc__ or "")


@pytest.mark.parametrize("name", SENTENCES)
def test_what_is_said_otherwise_is_said(name: str) -> None:
    texts = [getattr(letta, name).__doc__] if hasattr(letta, name) else []
    for kind in KINDS:
        member = getattr(kind, name, None)
        texts += [kind.__doc__] if kind.__name__ == name else []
        texts += [member.fget.__doc__ if isinstance(member, property) else member.__doc__]
    for sentence, words in SENTENCES[name]:
        assert sentence != words
        assert any(anywhere(sentence).search(inspect.cleandoc(text or "")) for text in texts), (
            sentence
        )


def test_what_type_checkers_see_is_up_to_date() -> None:
    script = Path(__file__).parents[1] / "scripts" / "blocking_stubs.py"
    subprocess.run([sys.executable, str(script), "--check"], check=True)
