"""Asks the person at the notebook for permissions."""

from __future__ import annotations

from ..approvals import ApprovalRequest
from ..decisions import Decision, deny
from . import _front
from ._question import Question

__all__ = ["ask", "granted"]

granted: dict[str, object] = {}
"""What a person has allowed to tools that ask by themselves: the code, by the id of the call."""

_ASKS_ITSELF = "run_cell"
_MOST = 1000


def ask(request: ApprovalRequest) -> Decision:
    """Lets the person at the notebook decide: ``approvals=letta.jupyter.ask``.

    The request is shown in the cell that sent the turn, with the changes of files it is about.
    Where ipywidgets is installed it has buttons: allow, always allow (for each rule that the server
    offers), deny with a reason, allow with other input. Where clicks cannot be heard because a cell
    runs and blocks, it is asked for in the line for input of the notebook. Otherwise
    ``turn.approve()`` and ``turn.deny(…)`` answer it from another cell, which they always do.

    There is no limit of time. Where a program runs the notebook and nobody is there (nbclient,
    papermill), or where IPython runs in a terminal, it is denied with that reason.
    """
    nobody = _front.why_unattended("letta.jupyter.ask")
    if nobody is not None:
        return deny(nobody)
    decision = Question(request).decide()
    if request.tool_name == _ASKS_ITSELF and decision.behavior == "allow":
        given = request.input if decision.updated_input is None else decision.updated_input
        while len(granted) >= _MOST:
            granted.pop(next(iter(granted)), None)
        granted[request.tool_call_id] = given.get("code")
    return decision
