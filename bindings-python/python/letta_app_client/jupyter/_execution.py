"""Runs code among a notebook's variables, in the calling thread, and keeps what it prints."""

from __future__ import annotations

import ast
import ctypes
import threading
import traceback
from typing import Any

from .._toolresult import to_result
from . import _printed

__all__ = ["Execution"]

_LONGEST = 20_000


class Execution:
    """One run of a piece of code."""

    def __init__(self, shell: Any, code: str, cancelled: threading.Event) -> None:
        """Takes the IPython, the code, and what is set when nobody wants it any more."""
        self._shell = shell
        self._code = code
        self._cancelled = cancelled

    def run(self) -> Any:
        """Returns what it printed and the value of its last line, as a tool does."""
        over = threading.Event()
        thread = threading.get_ident()
        guard = threading.Thread(target=self._guard, args=(thread, over), daemon=True)
        guard.start()
        value: Any = None
        failure = ""
        with _printed.kept() as output:
            try:
                value = self._value()
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the agent is told
                lines = traceback.format_exception_only(type(error), error)
                failure = "".join(lines).strip() + _where(error)
            finally:
                over.set()
        printed = output.getvalue()
        if failure:
            return {
                "content": [{"type": "text", "text": f"{_cut(printed)}{failure}"}],
                "is_error": True,
            }
        return _told(printed, value)

    def _value(self) -> Any:
        shell = self._shell
        tree = ast.parse(shell.transform_cell(self._code), "<run_cell>")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        space = shell.user_ns
        exec(compile(tree, "<run_cell>", "exec"), space)  # noqa: S102 - a person has allowed it
        if not isinstance(last, ast.Expr):
            return None
        code = compile(ast.Expression(last.value), "<run_cell>", "eval")
        return eval(code, space)  # noqa: S307 - as above

    def _guard(self, thread: int, over: threading.Event) -> None:
        """Interrupts the code when the turn is stopped, which happens at its next line."""
        while not over.wait(0.1):
            if self._cancelled.is_set():
                number, kind = ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(number, kind)
                return


def _told(printed: str, value: Any) -> Any:
    parts = [] if not printed else [{"type": "text", "text": _cut(printed)}]
    if value is not None:
        try:
            told = to_result(value)
        except (TypeError, ValueError, RecursionError):
            told = to_result(repr(value))
        parts += told["content"]
    return {"content": parts or [{"type": "text", "text": "done, nothing was printed"}]}


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]}\n… {len(text) - _LONGEST:,} characters more\n"


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == "<run_cell>"]
    return f" (line {lines[-1]})" if lines else ""
