"""The catalog has the form that its schema says."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from tests.protocol import CATALOG, FOLDER

SCHEMA = json.loads((FOLDER / "catalog.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_catalog_is_of_its_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert [error.message for error in VALIDATOR.iter_errors(CATALOG)] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda catalog: catalog.update(more=1),
        lambda catalog: catalog["messages"][0].update(more=1),
        lambda catalog: catalog["messages"][0].pop("summary"),
        lambda catalog: catalog["messages"][0].update(kind="comand"),
        lambda catalog: catalog["messages"][0]["fields"]["runtime"].update(requried=True),
        lambda catalog: catalog["types"]["RuntimeScope"].update(note="x"),
    ],
)
def test_what_is_not_in_the_schema_is_refused(spoil: Callable[[dict[str, Any]], object]) -> None:
    spoilt = copy.deepcopy(CATALOG)
    spoil(spoilt)
    assert not VALIDATOR.is_valid(spoilt)
