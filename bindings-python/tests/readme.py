"""The blocks of code in the READMEs, to be run as they stand there."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio

__all__ = ["FILES", "Printed", "blocks", "headings", "run"]

FOLDER = Path(__file__).resolve().parents[1]
FILES = {"package": FOLDER / "README.md", "project": FOLDER.parent / "README.md"}


class Printed:
    """Stands in for ``print``, and tells when it was called."""

    def __init__(self) -> None:
        self.text = ""
        self.called = anyio.Event()

    def __call__(self, *values: object, end: str = "\n") -> None:
        self.text += " ".join(str(value) for value in values) + end
        self.called.set()


def blocks(file: str, heading: str) -> list[str]:
    """The Python code under a heading, block by block."""
    return [code for found, code in _all(file) if found == heading]


def headings(file: str) -> list[str]:
    """The headings with Python code under them."""
    return list(dict.fromkeys(heading for heading, _ in _all(file)))


def _all(file: str) -> Iterator[tuple[str, str]]:
    heading = ""
    code: list[str] | None = None
    for line in FILES[file].read_text(encoding="utf-8").splitlines():
        if code is not None:
            if line == "```":
                yield heading, "\n".join(code)
                code = None
            else:
                code.append(line)
        elif line.startswith("```python"):
            code = []
        elif found := re.match(r"#+ (.*)", line):
            heading = found[1]


async def run(code: str, names: dict[str, Any]) -> None:
    """Runs a block, which may wait, in a namespace that it shares with others."""
    names.setdefault("__name__", __name__)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compiled = compile(code, "README.md", "exec", flags, dont_inherit=True)
    outcome = eval(compiled, names)  # noqa: S307 - of this repository
    if inspect.isawaitable(outcome):
        await outcome
