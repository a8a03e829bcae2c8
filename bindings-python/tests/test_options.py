"""All options of a client as one value, which workers make clients of."""

from __future__ import annotations

import dataclasses
import inspect
import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import cloudpickle
import pytest

import letta_app_client as letta
from letta_app_client import _frames, _native, _serverlog, _toolrun, listings
from letta_app_client._backlog import MAX_ITEMS
from letta_app_client.testing import MockServer, script

OPTIONS = letta.ConnectOptions(
    url="ws://127.0.0.1:4500",
    token="s3cret",
    request_timeout=5,
    tls=letta.TlsOptions(ca=Path("ca.pem"), verify=False),
)


def test_what_is_not_awaited_yet_is_called_so() -> None:
    with pytest.raises(letta.InvalidOption, match="got Spawning, which is not awaited yet"):
        letta.connect(letta.spawn_server())  # type: ignore[arg-type]


def test_the_token_is_not_shown() -> None:
    assert "127.0.0.1" in repr(OPTIONS)
    for text in (repr(OPTIONS), str(OPTIONS), f"{OPTIONS}"):
        assert "s3cret" not in text


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_they_can_be_pickled(pickler: Any) -> None:
    copy = pickle.loads(pickler.dumps(OPTIONS))  # noqa: S301
    assert copy == OPTIONS
    assert copy.token == OPTIONS.token


def test_they_cannot_be_changed_but_others_can_be_made() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        OPTIONS.url = "ws://elsewhere"  # type: ignore[misc]
    other = dataclasses.replace(OPTIONS, request_timeout=7)
    assert (other.request_timeout, other.token) == (7, "s3cret")
    with pytest.raises(letta.InvalidOption, match=r"^request_timeout: "):
        dataclasses.replace(OPTIONS, request_timeout="7")  # type: ignore[arg-type]


def test_they_are_all_that_a_client_can_be_told() -> None:
    names = [field.name for field in dataclasses.fields(letta.ConnectOptions)]
    assert ["url", *letta.ConnectSettings.__annotations__] == names
    # The engine takes the two of ``tls`` apart, and what needs no look at files in one.
    taken = set(inspect.signature(_native.Connection).parameters) | set(OPTIONS._values())
    # What a client is of, beside the URL, is no option, and a redactor may be a function.
    taken -= {"ca", "verify", "redacted", "replay", "server", "values"}
    assert taken == set(names) - {"tls", "redact"}


def test_what_is_not_usable_is_refused_where_it_is_written() -> None:
    for name, value in {"url": 3, "token": 3, "transport": None, "tls": True}.items():
        fields: dict[str, Any] = {"url": "ws://127.0.0.1:1", name: value}
        with pytest.raises(letta.InvalidOption, match=rf"^{name}: expected "):
            letta.ConnectOptions(**fields)
    for name in ("external_tool_timeout", "external_tool_concurrency"):
        zero: dict[str, Any] = {name: 0}
        with pytest.raises(letta.InvalidOption, match=rf"^{name}: expected .* got 0$"):
            letta.ConnectOptions(url="ws://127.0.0.1:1", **zero)
    out_of_range: list[tuple[str, Any, str]] = [
        ("connect_timeout", -1, "expected seconds from 0"),
        ("connect_timeout", 0, "expected a time above zero, got 0"),
        ("request_timeout", math.nan, "expected seconds from 0"),
        ("keepalive_interval", 0, "expected a time above zero"),
        ("settle_pause", math.inf, "expected a finite wait"),
        ("external_tool_timeout", -1, "expected seconds from 0"),
        ("transport", "foo", 'expected "auto", "single" or "split", got "foo"'),
        ("max_message_bytes", 0, "expected a positive number of bytes"),
        ("token", "", "expected a token, got an empty string"),
        ("token", "a\nb", "expected printable ASCII"),
    ]
    for name, value, words in out_of_range:
        given: dict[str, Any] = {"url": "ws://127.0.0.1:1", name: value}
        with pytest.raises(letta.InvalidOption, match=rf"^{name}: {words}"):
            letta.ConnectOptions(**given)
    with pytest.raises(letta.InvalidOption, match=r"^reconnect.base: expected a finite wait"):
        letta.Reconnect(base=math.inf, cap=math.inf)
    # Only where a client is made it is known which files there are.
    away = letta.ConnectOptions(url="ws://127.0.0.1:1", tls=letta.TlsOptions(ca="/nowhere.pem"))
    with pytest.raises(letta.InvalidOption, match=r'^tls.ca: expected .* got "/nowhere.pem"'):
        letta.create_app_server_client(away)
    with pytest.raises(letta.InvalidOption, match=r"^url: "):
        letta.create_app_server_client(letta.ConnectOptions(url="ftp://nowhere"))


def test_names_to_redact_are_any_texts_but_one(tmp_path: Path) -> None:
    def options(redact: Any) -> letta.ConnectOptions:
        return letta.ConnectOptions(url="ws://h", record=tmp_path / "run.jsonl", redact=redact)

    for names in (["a"], ("a",), {"a"}, frozenset("a"), {"a": 1}.keys()):
        given = options(names)
        assert given.redact == ("a",)
        assert pickle.loads(pickle.dumps(given)) == given  # noqa: S301
    given = options(name for name in ("a", "b"))
    assert given.redact == ("a", "b"), "read once, and there for each client"
    for wrong in ("abc", b"abc", 5, ["a", 5], {"a": 1}):
        with pytest.raises(letta.InvalidOption, match=r"^redact: expected "):
            options(wrong)


@pytest.mark.anyio
async def test_a_client_is_made_of_them() -> None:
    with MockServer(token="s3cret") as mock:
        options = letta.ConnectOptions(url=mock.url, token="s3cret")
        async with letta.connect(options) as client:
            assert client.state == "open"
        async with letta.create_app_server_client(options) as client:
            assert client.state == "open"
        # What is given by name counts.
        for wrong in (
            letta.connect(options, token="other"),
            letta.create_app_server_client(options, token="other").connect(),
        ):
            with pytest.raises(letta.AuthError):
                await wrong


@pytest.mark.anyio
@pytest.mark.parametrize("endless", [math.inf, 10**400])
async def test_no_limit_of_time_is_one_without_end(endless: float) -> None:
    names = ("connect_timeout", "request_timeout", "keepalive_interval", "keepalive_timeout")
    times: dict[str, Any] = dict.fromkeys((*names, "external_tool_timeout"), endless)
    reconnect = letta.Reconnect(base=0.01, cap=endless)
    calling = script.turn("42", tool_calls=[script.call("lookup")])
    with MockServer([calling]) as mock, anyio.fail_after(30):
        options = letta.ConnectOptions(url=mock.url, reconnect=reconnect, **times)
        assert options.connect_timeout == endless
        async with letta.connect(options) as client:
            await client.info()
            async with client.session(agent_id="a", tools=[lookup]) as session:
                assert [one.output for one in (await session.run("?")).tool_calls] == ["found"]
            opened = anyio.Event()
            client.on_state(lambda state, _: opened.set() if state == "open" else None)
            mock.cut_connections()
            await opened.wait()
            await client.info()


@pytest.mark.parametrize("name", ["base", "cap"])
def test_a_wait_of_no_time_is_none(name: str) -> None:
    for wrong in (0, -1, math.nan, -math.inf):
        fields: dict[str, Any] = {name: wrong}
        with pytest.raises(letta.InvalidOption, match=rf"^reconnect\.{name}: expected seconds"):
            letta.Reconnect(**fields)


def lookup() -> str:
    """What the agent calls."""
    return "found"


def test_a_worker_process_makes_a_client_of_its_own() -> None:
    worker = """
import asyncio, pickle, sys
import letta_app_client as letta

async def main():
    options = pickle.load(sys.stdin.buffer)
    async with letta.connect(options) as client, client.session(agent_id="a") as session:
        print((await session.run("?")).text)

asyncio.run(main())
"""
    with MockServer([script.turn("42")], token="s3cret") as mock:
        given = pickle.dumps(letta.ConnectOptions(url=mock.url, token="s3cret"))
        command = [sys.executable, "-c", worker]
        done = subprocess.run(command, input=given, capture_output=True, timeout=30, check=False)
        assert (done.stdout.decode(), done.stderr.decode()) == ("42\n", "")


def test_the_documented_limits_are_the_defaults() -> None:
    document = Path(__file__).parents[2] / "docs/limits.md"
    rows = [line.split(" | ") for line in document.read_text().splitlines() if "| `" in line]
    rows = [row for row in rows if len(row) == 4 and "--" not in row[1]]  # the command line's
    defaults = {row[1].replace("`", ""): row[2] for row in rows}
    values = vars(letta.ConnectOptions(url="ws://h", reconnect=letta.Reconnect()))
    values |= {f"reconnect.{name}": value for name, value in vars(values["reconnect"]).items()}
    record = vars(letta.RecordOptions("f"))
    values |= {f"record.{name}": value for name, value in record.items()}
    turn = inspect.signature(letta.AppServerClient.run_turn).parameters
    values |= {name: parameter.default for name, parameter in turn.items()}
    messages = inspect.signature(letta.AppServerClient.messages).parameters
    values |= {f"{name} of messages": messages[name].default for name in ("limit", "max_bytes")}
    values["limit of map"] = inspect.signature(letta.map).parameters["limit"].default
    values["page_size"] = listings.PAGE
    spawned = inspect.signature(letta.spawn_server).parameters
    values["ready_timeout"] = spawned["ready_timeout"].default
    assert len(defaults) == 26
    for name, shown in defaults.items():
        value, number = values[name], shown.split(" ")[0].replace(",", "")
        scale = 1024 * 1024 if shown.endswith("MiB") else 1
        expected = None if shown == "none" else float(number) * scale
        assert value == expected, name


def test_the_fixed_limits_of_python_are_the_documented_ones() -> None:
    document = Path(__file__).parents[2] / "docs/limits.md"
    rows = [line.strip("| ").split(" | ") for line in document.read_text().splitlines()]
    fixed = {row[0]: row[1].replace(",", "") for row in rows if len(row) == 3}
    pieces = "pieces of output of a terminal, or changes of a file, that wait for a reader"
    assert fixed[pieces] == str(MAX_ITEMS)
    assert fixed["rows of a frame that a tool returns, in Python"] == str(_frames._ROWS)
    assert fixed["characters of such a frame"] == str(_frames._CHARACTERS)
    told = "characters of what a tool raised, as the model is told"
    assert fixed[told] == str(_toolrun._LONGEST)
    last = "the same, until they were handed over, in Python and Node"
    assert fixed[last] == f"{_serverlog._LINGER:g} s"


def test_the_last_lines_of_a_server_are_waited_for_as_long_in_node() -> None:
    root = Path(__file__).parents[2]
    lingers = (root / "bindings-node/ts/serverlog.ts").read_text(encoding="utf-8")
    assert f"const LINGER_MS = {_serverlog._LINGER * 1000:_.0f};" in lingers
