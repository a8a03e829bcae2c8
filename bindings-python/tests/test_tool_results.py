"""What becomes of the values that tools return."""

from __future__ import annotations

import base64
import sys
import types
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import Message
from letta_app_client.testing import MockServer, script
from letta_app_client.tools import tool
from tests.tool_values import Colour, Pair, Range, Search, User, call, complaint_of, one, text_of

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n and more"

JSON_RESULTS: dict[str, tuple[Any, str]] = {
    "text": ("äh", "äh"),
    "none": (None, "done"),
    "number": (1.5, "1.5"),
    "truth": (True, "true"),
    "mapping": ({"ä": [1, None], 2: "x"}, '{"ä":[1,null],"2":"x"}'),
    "list": ([1, "a"], '[1,"a"]'),
    "tuple": ((1, "a"), '[1,"a"]'),
    "set": ({3, 1, 2}, "[1,2,3]"),
    "dataclass": (
        Search(Path("a"), [Range(1)]),
        '{"where":"a","ranges":[{"first":1,"last":9}]}',
    ),
    "named_tuple": (Pair("a", 1.5), '{"key":"a","value":1.5}'),
    "model": (User(name="a", born=date(2024, 5, 6)), '{"name":"a","born":"2024-05-06"}'),
    "enum": (Colour.CORNER, "[1,2]"),
    "date": (date(2024, 5, 6), "2024-05-06"),
    "decimal": ([Decimal("1.50")], '["1.50"]'),
    "bytes_inside": ({"a": b"hi"}, '{"a":"aGk="}'),
    "bytes": ("häagen\n".encode(), "häagen\n"),
    "no_bytes": (b"", ""),
    "bytearray": (bytearray(b"hi"), "hi"),
    "memoryview": (memoryview(b"hi"), "hi"),
    "bytes_with_a_mark": ("\ufeffhi".encode(), "hi"),
    "bytes_that_are_no_text": (b"h\xff", "(2 bytes as base64)\naP8="),
    "half_a_pair_as_bytes": (b"\xed\xa0\x80", "(3 bytes as base64)\n7aCA"),
    "message": (Message('{"a": {"b": 1}}'), '{"a":{"b":1}}'),
    "content_of_another_kind": ({"content": "x"}, '{"content":"x"}'),
}


@pytest.mark.parametrize("name", JSON_RESULTS)
async def test_results_as_text(name: str) -> None:
    output, text = JSON_RESULTS[name]
    assert await text_of(tool(lambda: output, name="function")) == text


@pytest.mark.parametrize(
    ("output", "place"),
    [
        ({"n": float("nan")}, "result.n"),
        ({"a": [1.0, {"b": float("-inf")}]}, "result.a[1].b"),
        (float("inf"), "result"),
    ],
)
async def test_a_number_that_json_does_not_have_is_an_error(output: Any, place: str) -> None:
    said = await complaint_of(tool(lambda: output, name="function"), {})
    assert said.startswith(f"ValueError: field `{place}`: expected a finite number, got ")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    ],
)
async def test_bytes_of_images(data: bytes, kind: str) -> None:
    answer = await one(tool(lambda: data, name="function"))(call("function", {}))
    assert answer == {
        "content": [{"type": "image", "data": base64.b64encode(data).decode(), "mimeType": kind}]
    }


async def test_content_of_several_parts() -> None:
    parts = ["text", PNG, {"a": 1}]
    answer = await one(tool(lambda: parts, name="function"))(call("function", {}))
    assert [part["type"] for part in answer["content"]] == ["text", "image", "text"]
    assert answer["content"][2]["text"] == '{"a":1}'


async def test_content_that_is_ready() -> None:
    ready = {"content": [{"type": "text", "text": "no"}], "is_error": True}
    assert await one(tool(lambda: ready, name="function"))(call("function", {})) == ready
    wrong = {"content": [], "is_error": "no"}
    answer = await one(tool(lambda: wrong, name="function"))(call("function", {}))
    assert answer["content"] == [{"type": "text", "text": '{"content":[],"is_error":"no"}'}]


class FakeImage:
    def __init__(self, mode: str = "RGB") -> None:
        self.mode = mode

    def save(self, buffer: Any, format: str) -> None:  # noqa: A002 - as PIL calls it
        if self.mode != "RGB":
            raise OSError("cannot write mode as PNG")
        buffer.write(format.encode())

    def convert(self, mode: str) -> FakeImage:
        return FakeImage(mode)


class FakeFigure:
    def savefig(self, buffer: Any, format: str) -> None:  # noqa: A002 - as matplotlib calls it
        buffer.write(b"figure " + format.encode())


class FakeAxes:
    figure = FakeFigure()


class FakeFrame:
    """Rows as pandas has them."""

    def __init__(self, rows: list[str], index: object) -> None:
        self.rows = rows
        self.index = index

    def __len__(self) -> int:
        return len(self.rows)

    def head(self, count: int) -> FakeFrame:
        return FakeFrame(self.rows[:count], self.index)

    def to_csv(self, index: object) -> str:
        head = "index,a" if index else "a"
        return "\n".join([head, *self.rows, ""])


class FakeColumn:
    """A column as polars has it."""

    def __len__(self) -> int:
        return 2

    def head(self, _: int) -> FakeColumn:
        return self

    def to_frame(self) -> Any:
        return types.SimpleNamespace(write_csv=lambda: "a\n1\n2\n")


class RangeIndex:
    pass


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for libraries that the program has imported."""
    classes: dict[str, dict[str, type]] = {
        "PIL.Image": {"Image": FakeImage},
        "matplotlib.figure": {"Figure": FakeFigure},
        "matplotlib.axes": {"Axes": FakeAxes},
        "pandas": {"DataFrame": FakeFrame},
        "polars": {"Series": FakeColumn},
    }
    for name, members in classes.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize(
    ("output", "data"),
    [
        (FakeImage(), b"PNG"),
        (FakeImage("CMYK"), b"PNG"),
        (FakeFigure(), b"figure png"),
        (FakeAxes(), b"figure png"),
    ],
)
async def test_pictures_of_libraries(output: Any, data: bytes) -> None:
    answer = await one(tool(lambda: [output], name="function"))(call("function", {}))
    (part,) = answer["content"]
    assert (part["type"], part["mimeType"]) == ("image", "image/png")
    assert base64.b64decode(part["data"]) == data


@pytest.mark.usefixtures("libraries")
async def test_tables_of_libraries() -> None:
    async def csv(output: Any) -> str:
        return await text_of(tool(lambda: output, name="function"))

    assert await csv(FakeFrame(["1", "2"], RangeIndex())) == "a\n1\n2\n"
    assert await csv(FakeFrame(["x,1"], object())) == "index,a\nx,1\n"
    assert await csv(FakeColumn()) == "a\n1\n2\n"
    lines = (await csv(FakeFrame(["1"] * 1000, RangeIndex()))).splitlines()
    assert len(lines) == 202
    assert lines[-1] == "… 1000 rows in all; only the first 200 are shown"
    lines = (await csv(FakeFrame(["x" * 999] * 50, RangeIndex()))).splitlines()
    # 20,000 characters: the line of the names (2), and 19 whole ones (1,000 each).
    assert lines[1:] == ["x" * 999] * 19 + ["… 50 rows in all; only the first 19 are shown"]


async def test_nothing_is_imported_for_results() -> None:
    before = set(sys.modules)
    output = FakeFrame([], RangeIndex())
    text = await complaint_of(tool(lambda: output, name="function"), {})
    assert text == "TypeError: a value of type FakeFrame cannot be written as JSON"
    assert {"pandas", "polars", "matplotlib", "PIL"}.isdisjoint(sys.modules.keys() - before)


@pytest.mark.parametrize(
    ("output", "kind"),
    [(object(), "object"), ({"a": [lambda: 1]}, "function"), ({(1, 2): 3}, "tuple")],
)
async def test_results_that_no_model_could_read(output: Any, kind: str) -> None:
    text = await complaint_of(tool(lambda: output, name="function"), {})
    assert text.startswith("TypeError: a ")
    assert kind in text


async def test_a_result_that_contains_itself() -> None:
    output: list[Any] = []
    output.append(output)
    assert "RecursionError" in await complaint_of(tool(lambda: output, name="function"), {})


async def test_half_a_surrogate_pair_goes_as_an_escape() -> None:
    def lookup() -> dict[str, str]:
        return {"name": "a\udcff"}  # as Python has the names of some files

    with MockServer([script.turn(tool_calls=[script.call("lookup")])]) as mock:
        async with letta.connect(mock.url) as client:
            answered = anyio.Event()
            kind = "external_tool_call_response"
            client.on_send(lambda sent: answered.set() if sent["type"] == kind else None)
            session = await client.session(agent_id="a", tools=[lookup])
            turn = session.send("?")
            with anyio.fail_after(20):
                await answered.wait()
            # The double understands Unicode only; the real server is asked in ``live``.
            await turn.abort()
            assert client.stats.handler_errors == 0
    (answer,) = [one for one in mock.received if one.type == kind]
    assert answer.raw["result"] == {"content": [{"type": "text", "text": '{"name":"a\udcff"}'}]}
