"""Type hints while a program runs: Typer, FastAPI, pydantic and ``inspect.signature`` read them."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import typing
from functools import cached_property
from pathlib import Path

import pytest

import letta_app_client as letta
from letta_app_client import sync

MODULES = (
    "letta_app_client _families _subscription approvals client decisions errors events jupyter"
    " listings messages options policy protocol results server session sync terminals testing"
    " testing.conformance testing.expected testing.script testing.server tools turn watching"
)

CALLED = {"__init__", "__call__", "__await__", "__aenter__", "__aexit__", "__aiter__", "__anext__"}

PROGRAM = """
import importlib, json, sys
sys.path.insert(0, {folder!r})
from test_type_hints import functions, unreadable
names = {names!r}
print(json.dumps([unreadable(one) for name in names for one in functions(name) if unreadable(one)]))
"""


def functions(module: str) -> list[typing.Any]:
    """All that a module makes public, with the methods and properties of its classes."""
    __import__(module)
    found: list[typing.Any] = []
    held = sys.modules[module]
    for member in (getattr(held, name) for name in held.__all__):
        if inspect.isfunction(member):
            found.append(member)
        elif isinstance(member, type):
            found.append(member)
            names = [name for name in dir(member) if name[0] != "_" or name in CALLED]
            found += [plain(inspect.getattr_static(member, name)) for name in names]
    ours = [one for one in found if (getattr(one, "__module__", "") or "").startswith("letta_app")]
    return list(dict.fromkeys(one for one in ours if callable(one)))


def plain(member: object) -> object:
    """The function behind a property or a method."""
    if isinstance(member, property):
        return member.fget
    if isinstance(member, cached_property):
        return member.func
    return getattr(member, "__func__", member)


def unreadable(function: typing.Any) -> str | None:
    """What is wrong with the hints of one function, in words."""
    try:
        typing.get_type_hints(function, include_extras=True)
        if inspect.isfunction(function):
            inspect.signature(function, eval_str=True)
    except (NameError, AttributeError, TypeError) as error:
        return f"{function.__module__}.{function.__qualname__}: {error}"
    return None


@pytest.mark.parametrize("module", MODULES.split())
def test_all_type_hints_can_be_read(module: str) -> None:
    name = module if module.startswith("letta") else f"letta_app_client.{module}"
    assert len(functions(name)) > 0
    program = PROGRAM.format(folder=str(Path(__file__).parent), names=[name])
    # Of its own: what other tests have imported is not there.
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_hints_of_blocking_functions_name_blocking_classes() -> None:
    hints = typing.get_type_hints(sync.connect)
    assert hints["return"] is sync.AppServerClient
    assert sync.OwnServer in typing.get_args(hints["url"])
    assert typing.get_type_hints(sync.spawn_server)["return"] is sync.OwnServer
    assert typing.get_type_hints(sync.map)["client"] is sync.AppServerClient
    assert typing.get_type_hints(letta.connect)["return"] is letta.Connecting
