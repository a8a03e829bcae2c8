"""Fields that are read from a frame's text are those of Python's own parser."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from letta_app_client import Fields, Message
from letta_app_client._decode import decode
from letta_app_client._parse import parse

TRACES = Path(__file__).parents[2] / "protocol/traces"
KEYS = ["type", "a", "items", "keys", "raw", "_x", "é", "", 'q"\\', "\n", "agent_id", "日本", "😀"]
SCALARS = [
    *("null", "true", "false", "0", "-0", "-0.0", "1.50", "1E400", "-17", "9223372036854775807"),
    *("9223372036854775808", "1" * 30, "1" * 5000, "1e5", "NaN", "-Infinity", '""', '"plain"'),
    *('"\\n\\u00e9"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\ude00x"', '"é日😀"', '"\\/\\"\\\\"'),
    *('"' + "long " * 50 + '"', "[]", "{}"),
]


def plain(value: Any) -> Any:
    """What ``Fields`` stand for, read one by one."""
    if isinstance(value, Fields):
        # Not by its own iteration, which would parse all of it.
        names = value.raw if value._text is None else parse(value._text)
        return {name: plain(value[name]) for name in names}
    return [plain(item) for item in value] if isinstance(value, list) else value


def same(one: Any, other: Any) -> bool:
    """Equal, of equal types, and NaN is NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return math.isnan(one) == math.isnan(other) and (
            math.isnan(one) or (one, math.copysign(1, one)) == (other, math.copysign(1, other))
        )
    return bool(one == other)


def check(text: str) -> None:
    expected = parse(text)
    for name, value in expected.items():
        # A fresh one each time: nothing of it has been parsed.
        assert same(plain(decode(text)[name]), value), (name, text[:500])
        assert same(plain(Message(text).get(name)), value), (name, text[:500])
        if not name.startswith("_") and name not in dir(Message):
            assert same(plain(getattr(Message(text), name)), value), (name, text[:500])
    assert decode(text).get("no such field") is None
    assert same(plain(decode(text)), expected)


def some(chance: random.Random, depth: int) -> str:
    kind = chance.random()
    if depth == 0 or kind < 0.5:
        return chance.choice(SCALARS)
    space = chance.choice(["", " ", "\n\t", "\r "])
    parts = range(chance.randrange(5))
    if kind < 0.7:
        return f"[{space}{f'{space},'.join(some(chance, depth - 1) for _ in parts)}{space}]"
    return obj(chance, depth - 1)


def obj(chance: random.Random, depth: int) -> str:
    space = chance.choice(["", " ", "\n\t", "\r "])

    def field() -> str:
        # Names come twice, and with escapes.
        name = json.dumps(chance.choice(KEYS), ensure_ascii=chance.random() < 0.2)
        return f"{name}{space}:{space}{some(chance, depth)}"

    return f"{{{space}{f',{space}'.join(field() for _ in range(chance.randrange(7)))}{space}}}"


@pytest.mark.parametrize("seed", range(4))
def test_any_object_reads_as_it_is_parsed(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - nothing is secret
    for _ in range(500):
        check(obj(chance, 4))


def frames() -> Iterator[str]:
    for path in sorted(TRACES.glob("*/*.jsonl")):
        for line in path.read_text().splitlines():
            frame = json.loads(line).get("frame")
            if isinstance(frame, dict):
                yield json.dumps(frame, ensure_ascii=False)


def test_every_frame_of_the_recordings_reads_as_it_is_parsed() -> None:
    count = 0
    for text in set(frames()):
        check(text)
        count += 1
    assert count > 1000


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a":1', '{"a":1}}', '{"a":01}', '{"a":"\n"}', '{"a":1,}', "\ufeff{}", "{'a':1}"],
)
def test_broken_text_is_refused_when_it_is_looked_at(text: str) -> None:
    message = Message(text)
    assert message.raw_text == text
    with pytest.raises(ValueError, match=r".") as expected:
        json.loads(text)
    with pytest.raises(ValueError, match=r".") as raised:
        _ = message.a
    assert str(raised.value) == str(expected.value)


def test_half_a_surrogate_pair_in_the_text_itself() -> None:
    text = '{"a":"\ud800","b":{"c":"\udfff"}}'
    message = Message(text)
    assert (message.a, message.b.c, message.raw_text) == ("\ud800", "\udfff", text)


def test_deep_text_is_read_as_python_reads_it() -> None:
    text = '{"a":' + "[" * 300 + "]" * 300 + ',"b":1}'
    assert Message(text).b == 1
    assert Message(text).a == parse(text)["a"]


def test_what_is_small_does_not_keep_what_is_large() -> None:
    large = Message('{"runtime":{"agent_id":"a"},"output":{"text":"' + "x" * 100_000 + '"}}')
    assert large.runtime._text == '{"agent_id":"a"}'
    # Most of it is shared, and read all the same.
    assert len(large.output.text) == 100_000


def test_a_name_that_is_a_field_and_a_method_is_the_method() -> None:
    message = Message('{"items":[1],"raw":2,"get":3,"to_dict":4,"raw_text":5}')
    assert callable(message.items)
    assert message.raw == json.loads(message.raw_text)
    assert message["items"] == [1]
    assert message["raw"] == 2

    class Named(Fields):
        __slots__ = ()

        def shown(self) -> str:
            return f"<{self.a}>"

    assert Named({"a": 1, "shown": 2}).shown() == "<1>"


def test_only_frames_are_made_of_text() -> None:
    with pytest.raises(ValueError, match=r"."):
        Fields('{"a":1}')  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Message({"a": 1})  # type: ignore[arg-type]
