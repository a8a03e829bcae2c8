"""The command ``letta-app``, also ``python -m letta_app_client``; ``--help`` tells what it does."""

from __future__ import annotations

import sys

from . import _native

__all__ = ["main"]


def main() -> None:
    """Runs the command of the process's arguments and ends the process."""
    sys.exit(_native.cli(sys.argv[1:]))


if __name__ == "__main__":
    main()
