"""The words after ``%letta`` and ``%%letta``: and what is wrong with them."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, get_args

from .._misspelt import meant
from ..session import PermissionMode
from ._mistake import MagicError

__all__ = ["CELL", "COMMANDS", "HELP", "Parser", "options", "parse", "suggested"]


class Parser(argparse.ArgumentParser):
    """Says what is wrong with an exception, and prints nothing."""

    def __init__(self, prog: str, **more: Any) -> None:
        super().__init__(prog=prog, add_help=False, allow_abbrev=False, **more)

    def error(self, message: str) -> NoReturn:
        """Refuses."""
        raise MagicError(f"{message}\n{self.format_usage().strip()}")


def parse(parser: Parser, line: str) -> argparse.Namespace:
    """Reads a line.

    Raises:
        MagicError: It is not understood; the message says why, and what was perhaps meant.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise MagicError(f"the line cannot be read: {str(error).lower()}") from None
    found, rest = parser.parse_known_args(words)
    if rest:
        raise MagicError(_unknown(parser, rest[0]))
    return found


def options(parser: Parser) -> list[str]:
    """The options it has."""
    return [name for action in parser._actions for name in action.option_strings]  # noqa: SLF001


def _unknown(parser: Parser, word: str) -> str:
    known = options(parser)
    if not word.startswith("-"):
        also = f"; did you mean %letta {word}?" if word in COMMANDS and parser is CELL else ""
        return f"{parser.prog} takes options only, not {word!r}{also}"
    return f"{parser.prog} has no option {word}; {suggested(word.partition('=')[0], known)}"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text!r}")
    return seconds


def _name(text: str) -> str:
    if not text.isidentifier():
        raise argparse.ArgumentTypeError(f"expected the name of a variable, got {text!r}")
    return text


def _names(text: str) -> list[str]:
    return [_name(name.strip()) for name in text.split(",") if name.strip()]


def _cell() -> Parser:
    parser = Parser("%%letta")
    parser.add_argument("--session", metavar="NAME", default="main")
    parser.add_argument("--agent", metavar="ID")
    parser.add_argument("--mode", choices=get_args(PermissionMode))
    parser.add_argument("--into", metavar="VARIABLE", type=_name)
    parser.add_argument("--tools", metavar="NAME,NAME", type=_names)
    parser.add_argument("--timeout", metavar="SECONDS", type=_seconds)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser


def _command(name: str, *fill: Callable[[Parser], object]) -> Parser:
    parser = Parser(f"%letta {name}")
    for each in fill:
        each(parser)
    return parser


def _argument(*names: str, **more: Any) -> Callable[[Parser], object]:
    return lambda parser: parser.add_argument(*names, **more)


CELL = _cell()
"""``%%letta``."""

COMMANDS: dict[str, Parser] = {
    "connect": _command(
        "connect",
        _argument("url", nargs="?"),
        _argument("--token-env", metavar="NAME", default="LETTA_TOKEN"),
        _argument("--command", metavar="'PROGRAM ARGUMENT …'"),
    ),
    "use": _command(
        "use",
        _argument("agent"),
        _argument("--conversation", metavar="ID"),
        _argument("--session", metavar="NAME", default="main"),
    ),
    "status": _command("status"),
    "sessions": _command("sessions"),
    "abort": _command("abort", _argument("session", nargs="?")),
    "disconnect": _command("disconnect"),
    "help": _command("help"),
}
"""What ``%letta`` is followed by."""

HELP = """\
%letta connect [URL]        connects; without a URL, to LETTA_URL, or to a server that another
                            notebook has started, or to one that it starts itself. The token is
                            taken from the environment (LETTA_TOKEN, or --token-env NAME), so that
                            it is not saved with the notebook. --command 'letta server' says what
                            to start.
%letta use AGENT            continues with an existing agent; --conversation ID, --session NAME
%letta status               shows the state of the connection, and what is running
%letta sessions             lists the conversations of this notebook
%letta abort [SESSION]      stops what is running
%letta disconnect           closes the connection, and the server that was started for it

%%letta                     sends the text of the cell, and shows the turn while it runs
  --session NAME            one of several conversations (main); a new name begins a new one
  --agent ID                the agent of a new conversation
  --mode MODE               what may run without asking: standard, acceptEdits, unrestricted,
                            strict
  --tools NAME,NAME         functions of the notebook that the agent may call, or the ready-made
                            variables, inspect, dataframe_query, run_cell
  --into VARIABLE           keeps the result in a variable
  --json                    reads the answer as JSON: its value is kept, or becomes the cell's
  --timeout SECONDS         stops the turn after this time
  --quiet                   shows nothing

The stop button of the notebook stops the turn on the server.
"""


def suggested(word: str, known: Sequence[str]) -> str:
    """What was perhaps meant."""
    near = meant(word, known)
    return f"there are: {', '.join(known) or 'none'}" if near is None else f"did you mean {near}?"
