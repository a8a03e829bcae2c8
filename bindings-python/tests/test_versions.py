"""What is released together has one version."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import letta_app_client as letta

FILE = Path(__file__).resolve().parents[2] / "release" / "versions.py"


def test_versions_are_in_lock_step() -> None:
    spec = importlib.util.spec_from_file_location("versions", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.problems() == []
    assert set(module.versions().values()) == {letta.__version__}
    assert module.problems("v0.0.0-nobody")[0].startswith("the tag is v0.0.0-nobody")
