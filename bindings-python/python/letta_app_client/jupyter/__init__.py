"""What a notebook needs besides: who is asked for permissions, and the notebook itself as tools.

::

    %load_ext letta_app_client
    %letta connect

    %%letta --tools variables,dataframe_query
    Why is the p99 in `df` so high?

The tools let an agent look at the notebook it was called from, and work in it. None is on by
itself: a session gets those that are passed to it (``tools=[letta.jupyter.variables]``).

Nothing here imports IPython, pandas or ipywidgets before it is used in a notebook that has them.
"""

from __future__ import annotations

from typing import Any

from ._ask import ask
from ._inspecting import inspect, variables
from ._query import dataframe_query
from ._running import cell_runner, run_cell

__all__ = ["ask", "cell_runner", "dataframe_query", "inspect", "run_cell", "variables"]


def load(shell: Any) -> None:
    """Registers the magics with an IPython; see ``%load_ext letta_app_client``."""
    from ._magics import register  # noqa: PLC0415 - needs IPython

    register(shell)


def unload(shell: Any) -> None:
    """Takes them away again, and closes what they have opened."""
    from ._magics import unregister  # noqa: PLC0415 - needs IPython

    unregister(shell)
