"""A command is written as Python's own encoder writes it, or refused for the same reason."""

from __future__ import annotations

import enum
import json
import random
from collections import OrderedDict, UserDict
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from letta_app_client import Fields, InvalidCommand, Message, connect
from letta_app_client._json import encode, encode_unicode, is_json
from letta_app_client.testing import MockServer

pytestmark = pytest.mark.anyio

TEXTS = ["", "plain", 'q"\\/', "\n\t\r\b\f", "\x00\x1f\x7f", "é日本😀", "\u2028", "long " * 50]


class Mode(str, enum.Enum):
    """Text, but not exactly."""

    STANDARD = "standard"


class Level(enum.IntEnum):
    """A number, but not exactly."""

    HIGH = 3


def nested(levels: int) -> Any:
    value: Any = "end"
    for _ in range(levels):
        value = {"in": [value]}
    return value


class Row(UserDict[str, Any]):
    """A mapping of a user's, which keeps something else under a name of the package's own."""

    raw: dict[str, Any] = {"other": 1}  # noqa: RUF012 - a plain one


VALUES = [
    *TEXTS,
    *(None, True, False, 0, -1, 2**63 - 1, 2**63, -(2**63), 10**30, 0.0, -0.0, 1.5, 1e16, 5e-324),
    *(
        [],
        {},
        (),
        [1, (2, [3])],
        {"a": {"b": []}},
        nested(9),
        nested(30),
        Mode.STANDARD,
        Level.HIGH,
    ),
    *(
        OrderedDict(b=1, a=2),
        UserDict(a=1),
        Fields({"agent_id": "a"}),
        [Fields({"é": [1.5, None]})],
    ),
    Message('{"type":"x","n":[1,2,{"y":"\\n"}],"é":"\\ud83d\\ude00"}'),
    Message('{"type":"x","n":{"y":[1e3]}}').n,
]


@pytest.fixture
async def sent(mock: MockServer) -> AsyncIterator[Callable[[Any], Any]]:
    """Sends a command as it is and says what came to the server."""
    async with connect(mock.url) as client:

        def send(value: Any) -> Any:
            kind = f"x{len(mock.received)}"
            client.send_raw({"type": kind, "value": value})
            assert mock.wait_received(kind)
            return json.loads(mock.received[-1].raw_text)["value"]

        yield send


def same(one: Any, other: Any) -> bool:
    """Equal, and of equal types: ``1`` is not ``True`` here, nor ``1.0``."""
    return repr(one) == repr(other) and bool(one == other)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
async def test_a_value_arrives_as_the_encoder_writes_it(
    sent: Callable[[Any], Any], value: Any
) -> None:
    expected = json.loads(encode({"value": value}))["value"]
    assert same(sent(value), expected)


async def test_only_objects_of_the_package_stand_for_what_they_are_made_of(
    sent: Callable[[Any], Any],
) -> None:
    assert sent(Row(a=1)) == {"a": 1}
    assert json.loads(encode(Row(a=Row(b=2)))) == {"a": {"b": 2}}


def some(chance: random.Random, depth: int) -> Any:
    kind = chance.random()
    if depth == 0 or kind < 0.4:
        return chance.choice(VALUES[:21])
    if kind < 0.7:
        return [some(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {chance.choice(TEXTS): some(chance, depth - 1) for _ in range(chance.randrange(4))}


@pytest.mark.parametrize("seed", range(3))
async def test_any_value_arrives(sent: Callable[[Any], Any], seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - nothing is secret
    for _ in range(60):
        value = some(chance, 5)
        assert same(sent(value), json.loads(json.dumps(value)))


@pytest.mark.parametrize(
    "value",
    ["\ud800", "a\udfffb", {"text": ["é\ud800", 1.5]}, Fields({"valid": "\ud800"})],
    ids=repr,
)
async def test_half_a_surrogate_pair_goes_as_an_escape(mock: MockServer, value: Any) -> None:
    plain = value.raw if isinstance(value, Fields) else value
    async with connect(mock.url) as client:
        client.send_raw({"type": "x", "value": value})
        # Answered in order; the double itself understands Unicode only.
        await client.info()
    text = mock.received[0].raw_text
    assert text.isascii()
    assert json.loads(text) == {"type": "x", "value": plain}
    # What reads it again here wants Unicode.
    with pytest.raises(InvalidCommand, match="the text contains half a surrogate pair"):
        encode_unicode({"value": value})
    assert not is_json(plain)


@pytest.mark.parametrize(
    "value",
    [
        {1: "a"},
        {"a": {None: 1}},
        float("nan"),
        [float("inf")],
        {"\udc00": 1},
        {"agent_id": "\ud800"},
        {"client_message_ids": ["a", "\ud800"]},
        [{"type": "\ud800"}],
        {1, 2},
        b"a",
    ],
    ids=repr,
)
async def test_what_is_no_json_is_refused_as_by_the_encoder(
    sent: Callable[[Any], Any], value: Any
) -> None:
    with pytest.raises(InvalidCommand) as expected:
        encode({"type": "x2", "value": value})
    with pytest.raises(InvalidCommand) as refused:
        sent(value)
    assert str(refused.value) == str(expected.value)


@pytest.mark.parametrize("command", ["text", None, ["a"], 1])
async def test_what_is_no_object_is_refused(mock: MockServer, command: Any) -> None:
    async with connect(mock.url) as client:
        with pytest.raises(InvalidCommand, match="command: expected a mapping, got "):
            client.send_raw(command)


async def test_what_contains_itself_is_refused(sent: Callable[[Any], Any]) -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidCommand, match="Circular reference"):
        sent(value)
