"""The notebook around a program: its shell, its kernel, and whether a person is there."""

from __future__ import annotations

import contextvars
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..errors import InvalidOption

__all__ = [
    "NOBODY",
    "apart",
    "cell_runs",
    "clicks_arrive",
    "current_cell",
    "has_subshell",
    "has_widgets",
    "is_attended",
    "kernel",
    "publish",
    "publisher",
    "running",
    "shell",
    "why_unattended",
]

T = TypeVar("T")

NOBODY = "nobody is available to decide: a program runs this notebook"
"""Why a permission is denied where nobody could give it."""


def shell(wanted: str = "letta.jupyter") -> Any:
    """The running IPython.

    Raises:
        InvalidOption: There is none for what is wanted.
    """
    # Whoever runs in a notebook has it by now; it is not imported for anybody else.
    module = sys.modules.get("IPython")
    running = None if module is None else module.get_ipython()
    if running is None:
        raise InvalidOption(f"{wanted}: there is no notebook here", hint="run it in IPython")
    return running


def kernel(wanted: str = "letta.jupyter") -> Any:
    """The kernel of the notebook; ``None`` where IPython runs in a terminal."""
    return getattr(shell(wanted), "kernel", None)


def is_attended() -> bool:
    """Whether somebody can be asked. Programs that run notebooks say that nobody can."""
    return why_unattended("letta.jupyter") is None


def why_unattended(wanted: str) -> str | None:
    """Why nobody can be asked; ``None`` where somebody can."""
    own = kernel(wanted)
    if own is None:
        words = f"nobody can be asked in a terminal: {wanted} only asks in notebooks"
        return f"{words}; decide in the program"
    return None if getattr(own, "_allow_stdin", True) else NOBODY


def has_widgets() -> bool:
    """Whether ipywidgets is installed."""
    return importlib.util.find_spec("ipywidgets") is not None


def has_subshell(own: Any) -> bool:
    """Whether the front end has made a subshell, as those do that show widgets and know of them."""
    thread = getattr(own, "shell_channel_thread", None)
    manager = getattr(thread, "manager", None)
    return manager is not None and bool(manager.list_subshell())


def clicks_arrive(own: Any, seconds: float = 1.0) -> bool:
    """Whether clicks on widgets are heard now, while a cell may be running.

    They are where the front end sends them to a subshell, as JupyterLab does, and where the main
    thread is free and the kernel takes them while a cell awaits.
    """
    if has_subshell(own):
        return True
    free = threading.Event()
    own.io_loop.add_callback(free.set)
    if not free.wait(seconds):
        return False
    lock = getattr(own, "_main_asyncio_lock", None)
    beside = "concurrent" in inspect.signature(own.dispatch_shell).parameters
    return lock is not None and (beside or not lock.locked())


def apart(make: Callable[[], T]) -> T:
    """Makes widgets that no cell is the parent of.

    The kernel sends what is clicked to the shell whose cell has made a widget, which does not
    listen while that cell runs; the clicks of others go where the front end sends them.
    """
    context = contextvars.copy_context()
    parent = getattr(kernel(), "_shell_parent", None)
    if isinstance(parent, contextvars.ContextVar):
        context.run(parent.set, {})
    return context.run(make)


def publisher() -> Any:
    """What shows outputs to a person, even while a cell captures its own (``%%capture``)."""
    own = shell()
    # A capture replaces what the shell has; the first one stays among the shell's parts.
    known = (one for one in own.configurables if isinstance(one, own.display_pub_class))
    return next(known, own.display_pub)


def publish(through: Any, data: Mapping[str, Any], display_id: str, *, update: bool) -> None:
    """Puts an output into the cell that runs here, or changes one wherever it is."""
    context = contextvars.copy_context()
    if update:
        # Without the cell that sent it: who executes a notebook takes what belongs to the cell that
        # runs, and finds the output by its id.
        context = contextvars.Context()
    context.run(
        through.publish,
        data=dict(data),
        transient={"display_id": display_id},
        update=update,
    )


def cell_runs(own: Any, seconds: float = 1.0) -> bool:
    """Whether a cell runs now, so that no other one can."""
    lock = getattr(own, "_main_asyncio_lock", None)
    if lock is not None and lock.locked():
        return True
    free = threading.Event()
    own.io_loop.add_callback(free.set)
    return not free.wait(seconds)


def current_cell(own: Any) -> tuple[Any, Any] | None:
    """The request of the cell that began last, and who sent it, where the kernel can tell.

    It cannot after a click, which is a request as well.
    """
    context = getattr(own, "_shell_context", None)
    if context is None:
        parent, ident = own.get_parent("shell"), own._parent_ident["shell"]  # noqa: SLF001
    else:
        # As the kernel itself does for threads that belong to no cell.
        parent = context.get(own._shell_parent)  # noqa: SLF001
        ident = context.get(own._shell_parent_ident, b"")  # noqa: SLF001
    kind = ((parent or {}).get("header") or {}).get("msg_type")
    return (parent, ident) if kind == "execute_request" else None


def running(own: Any) -> tuple[Any, Any]:
    """The request to ask in the name of, and who sent it.

    A thread has that of the cell that it was begun in, which may be over: whoever asks there asks
    where nobody looks.
    """
    known = current_cell(own)
    return known or (own.get_parent("shell"), own._parent_ident["shell"])  # noqa: SLF001
