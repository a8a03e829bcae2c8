"""The reference on the site has what the package has."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args

import letta_app_client as letta
from letta_app_client import _families, listings, terminals, watching
from letta_app_client._family import Family

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs/reference").glob("python*.md"))
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
SHOWN = re.findall(r"^::: letta_app_client\.([\w.]+)", TEXT, re.MULTILINE)


def found(name: str) -> object:
    """What a line of the reference names."""
    place: object = letta
    for part in name.split("."):
        place = getattr(place, part)
    return place


def test_every_public_name_has_its_place() -> None:
    places = set(SHOWN)
    for name in SHOWN:
        place = found(name)
        places |= set(getattr(place, "__all__", ())) if inspect.ismodule(place) else set()
    missing = [
        name
        for name in letta.__all__
        if name not in places and f"`letta_app_client.{name}`" not in TEXT
    ]
    assert missing == []
    assert len(SHOWN) == len(set(SHOWN))


def test_what_families_have_besides_their_commands_has_its_place() -> None:
    for module in (listings, watching, terminals):
        for name in module.__all__:
            kind = getattr(module, name)
            if issubclass(kind, Family):
                for member in vars(kind).keys() - vars(getattr(_families, name)).keys():
                    if not member.startswith("_"):
                        place = f"{module.__name__.partition('.')[2]}.{name}.{member}"
                        assert place in SHOWN


def column(page: str, head: str) -> list[str]:
    """The names in the first column of a table."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = text.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [row.split("`")[1] for row in rows]


def test_the_permission_modes_are_those_that_there_are() -> None:
    assert column("reference/configuration.md", "mode") == list(get_args(letta.PermissionMode))


def test_what_shows_the_end_of_a_turn_is_what_the_engine_says() -> None:
    code = (ROOT / "core/src/engine/result.rs").read_text(encoding="utf-8")
    names = re.findall(r'"(\w+)"', code.partition("impl CompletedBy {")[2].partition("\n}\n")[0])
    assert column("explanation/turn-completion.md", "`completed_by`") == names
    said = inspect.getdoc(letta.TurnResult) or ""
    assert all(f"``{name}``" in said for name in names)
