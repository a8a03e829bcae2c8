"""What code of an agent prints, while more of it runs at once."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from types import SimpleNamespace
from typing import Any

from letta_app_client.jupyter._execution import Execution


class Run:
    """A run in a thread, which prints and then waits until it may go on."""

    def __init__(self, name: str) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.told: Any = None
        space = {"begun": self.begun, "go_on": self.go_on, "__name__": "__main__"}
        shell = SimpleNamespace(transform_cell=lambda code: code, user_ns=space)
        code = f"print('{name}1')\nbegun.set()\ngo_on.wait(10)\nprint('{name}2')"
        self._execution = Execution(shell, code, threading.Event())
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self.begun.wait(10)

    def _run(self) -> None:
        self.told = self._execution.run()

    def end(self) -> str:
        self.go_on.set()
        self._thread.join(10)
        return str(self.told["content"][0]["text"])


def test_runs_that_overlap_print_each_for_itself_and_leave_the_streams_alone() -> None:
    before = sys.stdout, sys.stderr
    first, second = Run("a"), Run("b")
    assert first.end() == "a1\na2\n"
    assert second.end() == "b1\nb2\n"
    assert (sys.stdout, sys.stderr) == before


def test_a_program_that_redirects_meanwhile_gets_its_streams_back() -> None:
    before = sys.stdout
    mine, inner = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(mine):
        run = Run("a")
        sys.stdout.write("mine ")
        with contextlib.redirect_stdout(inner):
            # Whoever redirects gets what all threads print, the agent's among them.
            assert run.end() == "a1\n"
        # It has put the stand-in back after the run, which lets everything through.
        sys.stdout.write("later")
        assert Run("b").end() == "b1\nb2\n"
        assert sys.stdout is mine
    assert (mine.getvalue(), inner.getvalue()) == ("mine later", "a2\n")
    assert sys.stdout is before
