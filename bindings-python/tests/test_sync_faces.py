"""The blocking package has what the asynchronous one has."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import letta_app_client as letta
from letta_app_client import sync
from letta_app_client.sync._faces import SPELLED, originals

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


def test_nothing_is_awaited_in_what_is_said() -> None:
    for kind in KINDS:
        for name, member in inspect.getmembers(getattr(sync, kind.__name__)):
            words = "" if name.startswith("__") else inspect.getdoc(member) or ""
            assert "async with" not in words, f"{kind.__name__}.{name}"
            assert "``await " not in words, f"{kind.__name__}.{name}"


def test_what_type_checkers_see_is_up_to_date() -> None:
    script = Path(__file__).parents[1] / "scripts" / "blocking_stubs.py"
    subprocess.run([sys.executable, str(script), "--check"], check=True)
