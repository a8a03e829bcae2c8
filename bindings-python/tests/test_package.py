from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

import letta_app_client as letta
from letta_app_client import _families, listings, terminals, testing, watching


def test_every_public_name_is_there_and_described() -> None:
    for module in (letta, letta.policy, letta.protocol, testing, testing.script):
        assert sorted(module.__all__) == module.__all__
        assert set(module.__all__) <= set(dir(module))
        for name in module.__all__:
            member = getattr(module, name)
            if inspect.isclass(member) or inspect.isfunction(member):
                assert inspect.getdoc(member), name


def imported_for_types() -> dict[str, set[str]]:
    """What the package's own source imports for type checkers, by module."""
    tree = ast.parse(inspect.getsource(letta))
    block, _ = (node for node in tree.body if isinstance(node, ast.If))
    found: dict[str, set[str]] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        module = "." * node.level + (node.module or "")
        found.setdefault(module, set()).update(alias.name for alias in node.names)
    return found


def test_names_come_from_where_type_checkers_look_for_them() -> None:
    expected = imported_for_types()
    assert expected.pop("typing") == {"Any"}
    modules = expected.pop(".")
    assert modules <= letta._MODULES
    modules &= set(letta.__all__)  # the others are for annotations within the package
    assert {module: set(names) for module, names in letta._LATER.items()} == expected
    everything = modules.union(*expected.values(), {"__version__"})
    assert everything == set(letta.__all__)


def test_public_modules_are_there_without_an_import_of_their_own() -> None:
    program = (
        "import letta_app_client as letta\n"
        "for name in letta._MODULES:\n"
        "    assert getattr(letta, name).__name__ == f'letta_app_client.{name}'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_public_method_is_described() -> None:
    kinds = (
        letta.AppServerClient,
        letta.ApprovalRequest,
        letta.Batch,
        letta.BatchItem,
        letta.ConnectOptions,
        letta.Family,
        letta.FileChanges,
        letta.Message,
        letta.OwnServer,
        letta.Session,
        letta.StructuredResult,
        letta.Subscription,
        letta.Terminal,
        letta.ToolSet,
        letta.Turn,
        letta.TurnResult,
        letta.TurnStream,
        testing.MockServer,
    )
    for kind in kinds:
        for name, member in inspect.getmembers(kind):
            if not name.startswith("_") and not isinstance(member, (int, str, tuple, type(None))):
                assert inspect.getdoc(member), f"{kind.__name__}.{name}"


def test_the_methods_of_families_are_described() -> None:
    families = [
        *(getattr(_families, name) for name in _families.__all__),
        listings.Agents,
        listings.Conversations,
        listings.Cron,
        terminals.Terminals,
        watching.Files,
    ]
    for family in families:
        assert issubclass(family, letta.Family)
        for name, member in inspect.getmembers(family, inspect.isfunction):
            if not name.startswith("_"):
                words = inspect.getdoc(member) or ""
                assert "section" in words or "Sends" in words or name == "open", name


def test_nobody_else_is_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nobody'"):
        _ = letta.nobody  # type: ignore[attr-defined]


def test_importing_loads_no_types_of_the_protocol() -> None:
    code = "import sys, letta_app_client; print([m for m in sys.modules if 'protocol' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = [name for name in ast.literal_eval(done.stdout) if name.startswith("letta")]
    assert names == []


def test_methods_that_wait_are_coroutine_functions() -> None:
    waiting = (
        "abort close connect conversation_list info request request_raw run_turn runtime_start"
        " runtime_external_tools_update submit_input sync"
    )
    for name in waiting.split():
        assert inspect.iscoroutinefunction(getattr(letta.AppServerClient, name)), name


def test_the_stub_says_what_the_native_module_has() -> None:
    command = [sys.executable, "-m", "mypy.stubtest", "letta_app_client._native"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
