"""The command ``letta-app``, also ``python -m letta_app_client``; ``--help`` tells what it does."""

from __future__ import annotations

import signal
import sys

from . import _native

__all__ = ["main"]


def main() -> None:
    """Runs the command of the process's arguments and ends the process."""
    # The command has a handler of its own, which stops the turn; this is for the time before.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_native.cli(sys.argv[1:]))


if __name__ == "__main__":
    main()
