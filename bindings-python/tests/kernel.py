"""A notebook that is executed cell by cell in one kernel, as the programs do that execute them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import v4

__all__ = ["Cell", "Kernel", "kernel"]


class Cell:
    """An executed cell, with the outputs that are saved."""

    def __init__(self, node: Any) -> None:
        self.node = node

    @property
    def printed(self) -> str:
        """What it printed."""
        texts = [one.text for one in self.node.outputs if one.output_type == "stream"]
        return "".join(texts).strip()

    @property
    def error(self) -> str:
        """How it failed, as a person reads it; empty where it has not."""
        failed = [one for one in self.node.outputs if one.output_type == "error"]
        return "\n".join("\n".join(one.traceback) for one in failed)

    def shown(self, kind: str = "text/plain") -> list[str]:
        """Its outputs of one MIME type."""
        rich = [one for one in self.node.outputs if "data" in one]
        return [one.data[kind] for one in rich if kind in one.data]


class Kernel:
    """One kernel; cells are appended to its notebook."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(self, *sources: str, timeout: float | None = 30) -> Cell:
        """Executes cells, and gives the last one."""
        for source in sources:
            cells = self._client.nb.cells
            cells.append(v4.new_code_cell(textwrap.dedent(source).strip()))
            self._client.timeout = timeout
            # A cell that fails is looked at by the test.
            self._client.execute_cell(cells[-1], len(cells) - 1)
        return Cell(cells[-1])

    def interrupted(self, source: str, seconds: float) -> Cell:
        """Executes a cell, and interrupts it after so many seconds: the stop button does that."""
        self._client.interrupt_on_timeout = True
        try:
            return self.run(source, timeout=seconds)
        except CellExecutionError:
            return Cell(self._client.nb.cells[-1])
        finally:
            self._client.interrupt_on_timeout = False


@contextmanager
def kernel(**options: Any) -> Iterator[Kernel]:
    """Starts a kernel, and ends it."""
    client: Any = NotebookClient(
        v4.new_notebook(), kernel_name="python3", allow_errors=True, **options
    )
    with client.setup_kernel():
        yield Kernel(client)
