"""What type checkers say of uses of this package: two of them, and they have to agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
RIGHT = "tests/typing/right.py"
WRONG = "tests/typing/wrong.py"


def mypy(file: str) -> set[int]:
    """The lines of which mypy complains."""
    command = [sys.executable, "-m", "mypy", "--output=json", file]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {one["line"] for one in found if one["severity"] == "error"}


def pyright(file: str) -> set[int]:
    """The lines of which pyright complains, in strict mode."""
    command = [sys.executable, "-m", "pyright", "--outputjson", "--level=error", file]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_what_is_right_is_accepted_and_what_is_wrong_is_not(checker: object) -> None:
    assert callable(checker)
    assert checker(RIGHT) == set()
    lines = (PROJECT / WRONG).read_text(encoding="utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert len(wrong) > 15
    assert checker(WRONG) == wrong
