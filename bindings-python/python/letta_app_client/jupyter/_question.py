"""One permission request that a person is asked about, by buttons or by the line for input."""

from __future__ import annotations

import os
import threading
import time

from .._loops import logger
from ..approvals import ApprovalRequest
from ..decisions import Decision, deny
from . import _front, _reprs, _stdin
from . import _parts as parts
from ._inputline import InputLine
from ._panel import Panel

__all__ = ["OPEN", "Question"]

OPEN: set[str] = set()
"""The ids of the requests that somebody is being asked about."""

_LOOK = 0.1
"""Seconds between two looks at whether an answer is still wanted."""

_HEARD = 2.0
"""Seconds after which somebody who clicks in vain is asked otherwise."""

_UNSEEN = 5.0
"""Seconds after which somebody who may see no buttons is asked otherwise as well."""


class Question:
    """Shows a request, and waits in the calling thread until it is decided."""

    def __init__(self, request: ApprovalRequest) -> None:
        """Takes the request; nothing is shown yet."""
        self._request = request
        self._kernel = _front.kernel()
        # Whoever is asked sees it, whatever the cell that runs does with its outputs.
        self._publisher = _front.publisher()
        self._settled = threading.Event()
        self._settling = threading.Lock()
        self._decision: Decision | None = None
        self._id = f"letta-ask-{os.urandom(8).hex()}"
        self._panel: Panel | None = None
        self._listening = False

    def decide(self) -> Decision:
        """Waits for the decision; without one, because nobody wants it any more, it denies."""
        OPEN.add(self._request.request_id)
        try:
            self._show()
            self._wait()
        finally:
            OPEN.discard(self._request.request_id)
            self._close()
        return self._decision or deny("too late: nobody is waiting for the answer any more")

    def _settle(self, decision: Decision) -> None:
        # A click and what is typed come from different threads; the first one counts.
        with self._settling:
            if not self._settled.is_set():
                self._decision = decision
                self._settled.set()

    def _show(self) -> None:
        if _front.has_widgets():
            try:
                self._panel = _front.apart(lambda: Panel(self._request, self._settle))
            except Exception:  # noqa: BLE001 - logged
                # Of the widgets; without them it goes as well.
                logger.exception("the buttons could not be made")
        shown = _reprs.request(self._request)
        hint = "turn.approve() or turn.deny('why not') in another cell answers it"
        shown["text/plain"] += f"\n{hint}"
        if self._panel is not None:
            # A front end without widgets shows the text.
            _front.publish(
                self._publisher, self._panel.data(shown["text/plain"]), self._id, update=False
            )
            return
        shown["text/html"] += parts.root(parts.row(hint))
        _front.publish(self._publisher, shown, self._id, update=False)

    def _wait(self) -> None:
        cancelled, begun = self._request.cancelled, time.monotonic()
        line, look = InputLine(self._kernel, self._request), begun + _HEARD
        try:
            while not self._settled.wait(0 if line.is_open else _LOOK):
                if cancelled.is_set():
                    return
                seconds = time.monotonic() - begun
                if self._panel is not None:
                    self._listen(self._panel, seconds)
                if line.is_open:
                    answer = line.answer(_LOOK)
                    if answer is not None:
                        self._settle(answer)
                elif time.monotonic() >= look and _stdin.is_free(self._kernel):
                    if self._is_deaf(seconds):
                        line.open()
                    else:
                        look = time.monotonic() + _HEARD
        finally:
            line.close()

    def _listen(self, panel: Panel, seconds: float) -> None:
        """Lets the buttons be pressed once clicks are heard, and after a while in any case.

        The front end makes the shell that hears them when it sees the first widget.
        """
        if not self._listening and (seconds >= _HEARD or _front.clicks_arrive(self._kernel, _LOOK)):
            self._listening = True
            _front.apart(panel.enable)

    def _is_deaf(self, seconds: float) -> bool:
        """Whether a cell runs, and nobody can click, or clicks, or other cells, come too late."""
        if self._panel is None:
            return _front.cell_runs(self._kernel)
        if not _front.clicks_arrive(self._kernel):
            return True
        # That they would arrive does not say that there are any: the kernel cannot know what a
        # front end shows. One that has made a subshell, or has pressed something, shows buttons.
        shows = _front.has_subshell(self._kernel) or self._panel.was_used
        return not shows and seconds >= _UNSEEN and _front.cell_runs(self._kernel)

    def _close(self) -> None:
        decision, request = self._decision, self._request
        if self._request.cancelled.is_set() or decision is None:
            word = "is no longer needed"
        elif decision.behavior == "allow":
            other = " with other input" if decision.updated_input is not None else ""
            word = f"allowed{other}" + (", always" if decision.suggestions else "")
        else:
            word = f"denied: {decision.message}"
        head = parts.calls_summary(request.tool_name, request.input.to_dict())
        shown = {
            "text/html": parts.root(f"<div>{head}: {parts.escaped(word)}</div>"),
            "text/plain": parts.harmless(f"{request.tool_name}: {word}"),
        }
        _front.publish(self._publisher, shown, self._id, update=True)
        if self._panel is not None:
            self._panel.close()
