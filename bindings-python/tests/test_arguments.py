"""Arguments that are not usable are refused by name, before anything is sent."""

from __future__ import annotations

import base64
import hashlib
import math
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import AppServerClient
from letta_app_client._limits import grace, limit, request_limit
from letta_app_client.testing import MockServer
from tests.helpers import RUNTIME, message

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(mock: MockServer) -> AsyncIterator[AppServerClient]:
    async with letta.connect(mock.url) as client:
        yield client
        assert mock.received == []


GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE_FRAME = 0x88

BAD_LIMITS: list[Any] = ["5", "", "Default", True, False, 0, -1, 0.0, math.nan, -math.inf, b"1", []]


@pytest.mark.parametrize("value", BAD_LIMITS)
async def test_bad_limits_of_requests(client: AppServerClient, value: Any) -> None:
    calls = (
        client.request("list_models", timeout=value),
        client.request_raw({"type": "x"}, predicate=bool, timeout=value),
        client.sync(runtime=RUNTIME, timeout=value),
        client.info(timeout=value),
        client.submit_input(runtime=RUNTIME, payload=message(), timeout=value),
    )
    for call in calls:
        with pytest.raises(
            letta.InvalidOption, match=r"^timeout: expected .*default.*, got "
        ) as it:
            await call
        assert repr(value) in str(it.value)


@pytest.mark.parametrize("value", [*BAD_LIMITS, "default"])
@pytest.mark.parametrize("name", ["timeout", "idle_timeout", "accept_timeout"])
async def test_bad_limits_of_turns(client: AppServerClient, name: str, value: Any) -> None:
    limits = {name: value}
    with pytest.raises(letta.InvalidOption, match=f"^{name}: expected .*, got "):
        await client.run_turn(runtime=RUNTIME, payload=message(), **limits)


@pytest.mark.parametrize("value", ["2", True, -1, math.nan])
async def test_bad_graces(client: AppServerClient, value: Any) -> None:
    with pytest.raises(letta.InvalidOption, match=r"^abort_grace: expected .*, got "):
        await client.run_turn(runtime=RUNTIME, payload=message(), abort_grace=value)


def test_good_limits() -> None:
    for endless in (None, math.inf, 10**400, 1e12):
        assert request_limit("timeout", endless) is None
        assert limit("timeout", endless) is None
        assert grace("abort_grace", endless) == 1e9
    assert request_limit("timeout", "default") == "default"
    assert (request_limit("timeout", 5), limit("timeout", 0.5), grace("x", 0)) == (5.0, 0.5, 0.0)


def test_limits_of_numpy() -> None:
    np = pytest.importorskip("numpy")
    for number in (np.int64(5), np.float32(5), np.float64(5)):
        for checked in (request_limit("x", number), limit("x", number), grace("x", number)):
            assert (checked, type(checked)) == (5.0, float)
    assert limit("x", np.float32("inf")) is None
    for wrong in (np.bool_(True), np.int64(-1), np.float32("nan"), np.array([5])):
        for check in (request_limit, limit, grace):
            with pytest.raises(letta.InvalidOption, match=r"^x: expected seconds .*, got "):
                check("x", wrong)


async def test_endless_limits_are_taken(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        for value in (None, math.inf, 10**400):
            await client.info(timeout=value)
            started = await client.runtime_start(agent_id="a", mode="standard", timeout=value)
            result = await client.run_turn(
                runtime=started.runtime,
                payload=message(),
                timeout=value,
                idle_timeout=value,
                abort_grace=value,
                accept_timeout=value,
            )
            assert result.text == "Hello world"


def stay_silent(listener: socket.socket) -> None:
    """Opens one WebSocket and never says a thing on it."""
    connection, _ = listener.accept()
    with connection:
        lines = connection.recv(65536).decode().splitlines()
        keys = [line for line in lines if line.lower().startswith("sec-websocket-key:")]
        key = keys[0].partition(":")[2].strip()
        digest = hashlib.sha1(f"{key}{GUID}".encode()).digest()  # noqa: S324 - by RFC 6455
        accept = base64.b64encode(digest).decode()
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade"
        answer = f"HTTP/1.1 101 OK\r\n{upgrade}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        connection.sendall(answer.encode())
        while (frame := connection.recv(65536)) and frame[0] != CLOSE_FRAME:
            pass


async def test_an_input_that_is_not_taken_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=stay_silent, args=(listener,))
        server.start()
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        async with letta.connect(url, transport="single") as client:
            # Twice as long where nothing at all comes.
            with anyio.fail_after(10), pytest.raises(letta.TurnInterrupted, match=r"0\.1 s") as no:
                await client.run_turn(runtime=RUNTIME, payload=message(), accept_timeout=0.05)
        assert not no.value.retryable
        assert no.value.result is not None
        assert no.value.result.delivery == "unknown"
        server.join()


@pytest.mark.parametrize("value", [None, "ask", True, []])
async def test_bad_approvals(client: AppServerClient, value: Any) -> None:
    with pytest.raises(letta.InvalidOption, match=r"^approvals: expected .*, got "):
        await client.run_turn(runtime=RUNTIME, payload=message(), approvals=value)


async def no_predicate(_: object) -> bool:
    return True


@pytest.mark.parametrize("value", ["text", 7, no_predicate])
async def test_bad_predicates(client: AppServerClient, value: Any) -> None:
    with pytest.raises(letta.InvalidOption, match=r"^predicate: expected "):
        await client.request("list_models", predicate=value)
    bad_values: list[Any] = [value, None]
    for bad in bad_values:
        with pytest.raises(letta.InvalidOption, match=r"^predicate: expected "):
            await client.request_raw({"type": "x"}, predicate=bad)


@pytest.mark.parametrize("command", [5, None, [("type", "x")]])
async def test_what_is_no_command(client: AppServerClient, command: Any) -> None:
    several: list[dict[str, Any]] = [{}, {"x": 1}]
    for fields in several:
        with pytest.raises(letta.InvalidCommand, match="expected a mapping"):
            await client.request(command, **fields)


async def test_arguments_of_other_methods_are_no_fields(client: AppServerClient) -> None:
    given: dict[str, Any] = {"runtime": RUNTIME, "predicate": lambda _: True}
    calls: list[Any] = [
        client.sync,
        client.abort,
        client.runtime_start,
        client.conversation_list,
        client.runtime_external_tools_update,
    ]
    for call in calls:
        with pytest.raises(letta.InvalidCommand, match="field `predicate`"):
            await call(**given)
        with pytest.raises(letta.InvalidCommand, match="field `type`"):
            await call(runtime=RUNTIME, type="other")
    with pytest.raises(letta.InvalidCommand, match="field `predicate`"):
        await client.submit_input(payload=message(), **given)
    with pytest.raises(letta.InvalidCommand, match="field `timeout`"):
        client.input(runtime=RUNTIME, payload=message(), timeout=5)  # type: ignore[call-arg]
    with pytest.raises(letta.InvalidCommand, match="field `type`"):
        await client.request("list_models", type="other")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("method", "slip", "field"),
    [
        ("runtime_start", "mdoe", "mode"),
        ("runtime_start", "converstion_id", "conversation_id"),
        ("runtime_start", "agentId", "agent_id"),
        ("runtime_start", "timout", "timeout"),
        ("sync", "recover_aprovals", "recover_approvals"),
        ("abort", "timeout_", "timeout"),
        ("conversation_list", "qurey", "query"),
        ("runtime_external_tools_update", "update", "updates"),
        ("submit_input", "reqest_id", "request_id"),
        ("input", "reqest_id", "request_id"),
    ],
)
async def test_a_slip_of_a_field_is_refused(
    client: AppServerClient, method: str, slip: str, field: str
) -> None:
    needed: dict[str, Any] = {} if method == "runtime_start" else {"runtime": RUNTIME}
    if method in {"input", "submit_input"}:
        needed["payload"] = message()
    commands = {"abort": "abort_message", "submit_input": "input"}
    with pytest.raises(letta.InvalidCommand) as caught:
        await getattr(client, method)(**needed, **{slip: "x"})
    assert str(caught.value).startswith(
        f"`{commands.get(method, method)}`: field `{slip}`: is no field of this command; "
        f"did you mean `{field}`?"
    )
    assert caught.value.hint == "a whole command, given to request, may have any field"


@pytest.mark.parametrize("method", ["run_turn", "send_turn", "submit_input", "input"])
async def test_a_slip_inside_a_payload_is_refused(client: AppServerClient, method: str) -> None:
    said = {"role": "user", "content": "hi"}
    whole: Any = message(image_failure_mod="drop")
    inner: Any = {**message(), "messages": [said, {**said, "client_mesage_id": "m"}]}
    cases = (
        (whole, r"payload.image_failure_mod"),
        (inner, r"payload.messages\[1\].client_mesage_id"),
    )
    for payload, path in cases:
        with pytest.raises(letta.InvalidCommand, match=f"`input`: field `{path}`.*did you mean"):
            await getattr(client, method)(runtime=RUNTIME, payload=payload)


async def test_a_slip_inside_an_object_of_a_family_is_refused(client: AppServerClient) -> None:
    scope: Any = {**RUNTIME, "acting_user": "u", "acting_usr_id": "u"}
    path = "`execute_command`: field `runtime.acting_usr_id`: .* did you mean `acting_user_id`"
    with pytest.raises(letta.InvalidCommand, match=path):
        await client.runtimes.execute_command(command_id="clear", runtime=scope)


@pytest.mark.parametrize("method", ["runtime_start", "submit_input"])
async def test_plausible_fields_of_later_servers_are_no_slips(
    mock: MockServer, method: str
) -> None:
    later: dict[str, Any] = {"model": "x", "agent": "x", "errors": [], "client_tools": []}
    async with letta.connect(mock.url) as client:
        started = await client.runtime_start(agent_id="agent-1")
        if method == "runtime_start":
            await client.runtime_start(agent_id="agent-1", **later)
        else:
            await client.submit_input(runtime=started.runtime, payload=message(**later))
    body = dict(mock.received[-1])
    sent = body if method == "runtime_start" else dict(body["payload"])
    assert {name: sent[name] for name in later} == later


async def test_fields_of_later_servers_go_over_the_wire(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        later: dict[str, Any] = {"agent_name": "scribe", "conversation_label": "x"}
        started = await client.runtime_start(agent_id="agent-1", **later)
        payload = message(client_tool_denylist=["Bash"], later=1)
        await client.submit_input(runtime=started.runtime, payload=payload)
        whole: dict[str, Any] = {"type": "runtime_start", "agent_id": "agent-1", "mdoe": "strict"}
        await client.request(whole)
    sent = [frame for frame in mock.received if frame.type != "app_server_info"]
    assert [dict(sent[0]).get(name) for name in later] == ["scribe", "x"]
    assert (sent[1].payload.client_tool_denylist, sent[1].payload.later) == (["Bash"], 1)
    assert sent[2].mdoe == "strict"


async def test_bad_prefixes(client: AppServerClient) -> None:
    bad: list[Any] = [5, None, "\ud800"]
    for prefix in bad:
        with pytest.raises(letta.InvalidOption, match=r"^prefix: "):
            client.next_request_id(prefix)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"token": 0}, "token"),
        ({"token": False}, "token"),
        ({"token": b"secret"}, "token"),
        ({"token": "secret\ud800"}, "token"),
        ({"auth_token": 0}, "auth_token"),
        ({"auth_token": []}, "auth_token"),
        ({"url": "ws://host/\ud800"}, "url"),
        ({"transport": "\ud800"}, "transport"),
        ({"connect_timeout": math.nan}, "connect_timeout"),
        ({"keepalive_timeout": -math.inf}, "keepalive_timeout"),
        ({"tls": {"verify": False}}, "tls"),
    ],
)
def test_bad_options(options: dict[str, Any], field: str) -> None:
    with pytest.raises(letta.InvalidOption) as caught:
        letta.create_app_server_client(**{"url": "ws://127.0.0.1:4500", **options})
    assert str(caught.value).startswith(f"{field}: ")
    assert "secret" not in str(caught.value)


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"ca.pem"


def test_bad_tls_options() -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"verify": "no"}, "tls.verify"),
        ({"verify": None}, "tls.verify"),
        ({"verify": 0}, "tls.verify"),
        ({"ca": b"-----BEGIN"}, "tls.ca"),
        ({"ca": 5}, "tls.ca"),
        ({"ca": BytesPath()}, "tls.ca"),
        ({"ca": "\ud800"}, "tls.ca"),
    ]
    for options, field in bad:
        with pytest.raises(letta.InvalidOption, match=rf"^{field}: "):
            letta.TlsOptions(**options)
    assert letta.TlsOptions(ca=Path("ca.pem"), verify=False).verify is False


async def test_a_slip_is_refused_where_a_command_is_named(
    client: AppServerClient,
) -> None:
    fields: dict[str, Any] = {"froce": True}
    with pytest.raises(letta.InvalidCommand, match=r"field `froce`: .*`force`") as caught:
        await client.request("list_models", **fields)
    assert caught.value.hint == "a whole command, given to request, may have any field"


async def test_a_whole_command_may_have_any_field(mock: MockServer) -> None:
    async with letta.connect(mock.url) as client:
        await client.request({"type": "app_server_info", "request_idd": "x"})
        (sent,) = mock.received
        assert sent.request_idd == "x"


@pytest.mark.parametrize("names", ["lookup", 5, [5], b"lookup"])
async def test_bad_names_of_tools(client: AppServerClient, names: Any) -> None:
    with pytest.raises(letta.InvalidOption, match=r"^names: expected "):
        client.on_external_tool_call(lambda _: "", names=names)


@pytest.mark.parametrize("fields", [[1], 5, "cwd", ()])
async def test_bad_fields_of_a_session(client: AppServerClient, fields: Any) -> None:
    with pytest.raises(letta.InvalidOption, match=r"^fields: expected a mapping, got "):
        client.session(agent_id="a", fields=fields)
