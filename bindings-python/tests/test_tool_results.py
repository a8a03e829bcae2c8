"""What becomes of the values that tools return."""

from __future__ import annotations

import base64
import sys
import types
from datetime import date, timedelta
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
    "range": (range(1, 6, 2), "[1,3,5]"),
    "keys": ({"b": 1, "a": 2}.keys(), '["b","a"]'),
    "values": ({"b": 2, "a": 1}.values(), "[2,1]"),
    "items": ({"b": 2, "a": 1}.items(), '[["b",2],["a",1]]'),
    "duration": (timedelta(days=1, seconds=5), "1 day, 0:00:05"),
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
    ("output", "text"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        ({"n": float("nan"), "ä": 1}, '{"n":null,"ä":1}'),
        ({"a": [1.5, {"b": float("-inf")}]}, '{"a":[1.5,{"b":null}]}'),
        (
            [{"name": "a", "amount": 1.5}, {"name": "b", "amount": float("nan")}],
            '[{"name":"a","amount":1.5},{"name":"b","amount":null}]',
        ),
    ],
)
async def test_a_number_that_json_does_not_have_is_its_name_or_null(output: Any, text: str) -> None:
    assert await text_of(tool(lambda: output, name="function")) == text


async def test_a_number_that_is_too_long_to_be_written() -> None:
    output = {"n": [10**5000, float("nan")]}
    said = await complaint_of(tool(lambda: output, name="function"), {})
    assert said.startswith("ValueError: result: ")


async def test_values_of_pandas() -> None:
    pd = pytest.importorskip("pandas")
    days = pd.Series(pd.to_datetime(["2026-01-01", None]))
    frame = pd.DataFrame({"b": ["x", None], "c": [1.5, None]})
    for output, text in (
        (frame.columns, '["b","c"]'),
        (frame.index, "[0,1]"),
        (pd.MultiIndex.from_tuples([("a", 1)]), '[["a",1]]'),
        (frame.b.unique(), '["x",null]'),
        (frame.c.unique(), "[1.5,null]"),
        (frame.to_dict("records"), '[{"b":"x","c":1.5},{"b":null,"c":null}]'),
        (pd.array([2**53 + 1, None], dtype="Int64"), f"[{2**53 + 1},null]"),
        (pd.Categorical(["a", None]), '["a",null]'),
        (days.unique(), '["2026-01-01T00:00:00",null]'),
        (days.max() - pd.Timestamp("2025-12-30"), "2 days 00:00:00"),
        ((days - days[0]).unique(), '["0 days 00:00:00",null]'),
        (pd.period_range("2026-01", periods=2, freq="M"), '["2026-01","2026-02"]'),
        (pd.Period("2026-01"), "2026-01"),
        (pd.Interval(0, 1), "(0, 1]"),
        (frame.c[1:].mean(), "NaN"),
        (pd.NaT, "NaT"),
        (pd.NA, "<NA>"),
        ({"a": pd.NaT, "b": pd.NA}, '{"a":null,"b":null}'),
        ({pd.NaT: 1}, '{"NaT":1}'),
    ):
        assert await text_of(tool(lambda value=output: value, name="function")) == text


async def test_dates_and_durations_of_numpy_are_texts_in_every_unit() -> None:
    np = pytest.importorskip("numpy")
    dates = ["2026-01-01", "NaT"]
    for output, text in (
        (np.array(dates, "M8[ns]"), '["2026-01-01T00:00:00",null]'),
        (np.array([dates], "M8[us]"), '[["2026-01-01T00:00:00",null]]'),
        (np.array(dates, "M8[D]"), '["2026-01-01",null]'),
        (np.array([], "M8[ns]"), "[]"),
        (np.datetime64("2026-01-01T01:02:03.5", "ns"), "2026-01-01T01:02:03.500000"),
        (np.array("2026-01-01", "M8[ns]"), "2026-01-01T00:00:00"),
        ({np.datetime64("2026-01-01", "ns"): 1}, '{"2026-01-01T00:00:00":1}'),
        (np.array([90_000_000_000, "NaT"], "m8[ns]"), '["0:01:30",null]'),
        (np.timedelta64(2, "h"), "2:00:00"),
        # What Python's own types do not have is rounded nowhere.
        (np.timedelta64(5, "ns"), "5 nanoseconds"),
        (np.datetime64(5, "ns"), "1970-01-01T00:00:00.000000005"),
        (np.timedelta64(5, "Y"), "5 years"),
        (np.datetime64("20000-01-01"), "20000-01-01"),
    ):
        assert await text_of(tool(lambda value=output: value, name="function")) == text


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
