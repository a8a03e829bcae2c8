"""A tool with which an agent runs code in the notebook, once a person has allowed that code."""

from __future__ import annotations

import json
from typing import Annotated, Any

from .._refusal import Refusal
from ..approvals import ApprovalRequest
from ..tools import Tool, ToolContext, tool
from . import _front
from ._ask import granted
from ._execution import Execution
from ._question import Question

__all__ = ["cell_runner", "run_cell"]


def cell_runner(*, ask: bool = True) -> Tool[..., Any]:
    """Makes the tool ``run_cell``, which runs code among the notebook's variables.

    The agent gets what the code prints, and the value of its last line; an error is told to it. The
    code runs in a thread, while the cell that waits for the turn goes on, and is interrupted when
    the turn is stopped.

    Args:
        ask: Whether a person has to allow the code each time, whatever the session's mode is and
            whatever its rules are. Without, the agent can do whatever the notebook can.
    """

    @tool(name="run_cell")
    def run(code: Annotated[str, "Python code"], ctx: ToolContext) -> Any:
        """Run Python code in the user's notebook, with its variables; print what is of interest."""
        if ask:
            code = _allowed(code, ctx)
        return Execution(_front.shell("run_cell"), code, ctx.cancelled).run()

    return run


run_cell = cell_runner()
"""Runs code in the notebook; asks the person there each time. See ``cell_runner``."""


def _allowed(code: str, ctx: ToolContext) -> str:
    """Returns the code that may run, which a person may have changed.

    Raises:
        Refusal: None may.
    """
    if granted.pop(ctx.call_id, None) == code:
        return code  # a person has seen it when the server asked
    nobody = _front.why_unattended("run_cell")
    if nobody is not None:
        raise Refusal(nobody)
    body = {"subtype": "can_use_tool", "tool_name": "run_cell", "input": {"code": code}}
    wanted = {**body, "tool_call_id": ctx.call_id, "permission_suggestions": []}
    frame = {"type": "control_request", "request_id": f"own-{ctx.call_id}", "request": wanted}
    request = ApprovalRequest.of_own(json.dumps(frame), ctx.cancelled)
    decision = Question(request).decide()
    if decision.behavior != "allow":
        raise Refusal(f"the user denied it: {decision.message}")
    return code if decision.updated_input is None else str(decision.updated_input.get("code", ""))
