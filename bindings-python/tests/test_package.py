from __future__ import annotations

import inspect
import subprocess
import sys

import letta_app_client as letta
from letta_app_client import testing


def test_every_public_name_is_there_and_described() -> None:
    for module in (letta, testing, testing.script):
        assert sorted(module.__all__) == module.__all__
        for name in module.__all__:
            member = getattr(module, name)
            if inspect.isclass(member) or inspect.isfunction(member):
                assert inspect.getdoc(member), name


def test_every_public_method_is_described() -> None:
    kinds = (
        letta.AppServerClient,
        letta.ApprovalRequest,
        letta.Message,
        letta.Turn,
        letta.TurnResult,
        letta.TurnStream,
        testing.MockServer,
    )
    for kind in kinds:
        for name, member in inspect.getmembers(kind):
            if not name.startswith("_") and not isinstance(member, (int, str, tuple, type(None))):
                assert inspect.getdoc(member), f"{kind.__name__}.{name}"


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
