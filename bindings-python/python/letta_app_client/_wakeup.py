"""Lets the stop button of a notebook interrupt a cell that awaits, at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading

__all__ = ["wake_with_signals"]

_SOCKETS: list[socket.socket] = []
"""Those of the loop that is woken; kept as long as the process lives."""


def wake_with_signals(loop: asyncio.AbstractEventLoop) -> None:
    """Wakes the loop when a signal comes.

    The kernel cancels the cell in a callback of its loop, which a signal alone does not wake: a
    cell that waits for a silent turn would be cancelled when something else happens. Where somebody
    wakes it already this does nothing.
    """
    if _SOCKETS or threading.current_thread() is not threading.main_thread():
        return
    reading, writing = socket.socketpair()
    for one in (reading, writing):
        one.setblocking(False)

    def drain() -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            while reading.recv(4096):
                pass

    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    if before != -1:
        signal.set_wakeup_fd(before)
        reading.close()
        writing.close()
        return
    _SOCKETS.extend((reading, writing))
    loop.add_reader(reading, drain)
