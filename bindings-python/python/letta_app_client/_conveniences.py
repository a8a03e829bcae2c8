"""The families that have more than the commands of the protocol."""

from __future__ import annotations

from functools import cached_property

# Finds what is imported later, also for those who read type hints while a program runs.
import letta_app_client as letta

from ._attributes import HasFamilies

__all__ = ["HasConveniences"]


class HasConveniences(HasFamilies):
    """All families as attributes. Their modules are imported when one is looked at."""

    @cached_property
    def agents(self) -> letta.listings.Agents:
        """The commands of the family ``agents``, and ``all`` page by page."""
        from . import listings  # noqa: PLC0415 - as the class says

        return listings.Agents(self._link)

    @cached_property
    def conversations(self) -> letta.listings.Conversations:
        """The commands of the family ``conversations``; ``all`` and ``messages`` page by page."""
        from . import listings  # noqa: PLC0415 - as the class says

        return listings.Conversations(self._link)

    @cached_property
    def cron(self) -> letta.listings.Cron:
        """The commands of the family ``cron``, and ``all_runs`` page by page."""
        from . import listings  # noqa: PLC0415 - as the class says

        return listings.Cron(self._link)

    @cached_property
    def files(self) -> letta.watching.Files:
        """The commands of the family ``files``, and ``changes`` of a file."""
        from . import watching  # noqa: PLC0415 - as the class says

        return watching.Files(self._link)

    @cached_property
    def terminals(self) -> letta.terminals.Terminals:
        """The commands of the family ``terminals``, and ``open``."""
        from . import terminals  # noqa: PLC0415 - as the class says

        return terminals.Terminals(self._link)
