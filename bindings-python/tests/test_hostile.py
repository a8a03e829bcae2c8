"""What a hostile server can send, seen from Python: no reader ends, and nothing gets lost."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anyio
import pytest

import letta_app_client as letta
from letta_app_client import ToolCall
from letta_app_client.testing import MockServer

pytestmark = pytest.mark.anyio
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
RUNTIME = {"agent_id": "a", "conversation_id": "c"}


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


NUMBER = "9" * 100_000

# Texts that reach user code as they came (docs/hostile-input.md).
DELIVERED = {
    "127 levels": f'{{"type":"x","deep":{nested(126)}}}',
    "a number of 100,000 digits": f'{{"type":"x","n":{NUMBER}}}',
    "the same in a known type": f'{{"type":"turn_finished","n":{NUMBER}}}',
    "a number above every float": '{"type":"x","n":1e999999}',
    "a lone surrogate as an escape": '{"type":"x","text":"\\ud800"}',
    "one field twice": '{"type":"x","a":1,"a":2}',
    "the type twice": '{"type":"x","type":"y"}',
    "an object without a type": '{"a":1}',
    "a type that is no text": '{"type":7}',
    "fields of the wrong types": '{"type":"turn_finished","runtime":3,"request_id":[]}',
    "a delta of the wrong type": '{"type":"stream_delta","delta":7,"runtime":{"agent_id":1}}',
    "an approval without a question": '{"type":"control_request","request_id":"q","request":7}',
    "a tool call without a name": '{"type":"external_tool_call_request","request_id":"t"}',
    "an answer to nobody": '{"type":"sync_response","request_id":"nobody"}',
    "names of methods": '{"type":"x","raw":1,"to_dict":2,"__class__":3,"keys":4}',
}
# Those that cost themselves only.
DROPPED = {
    "100,000 nested arrays": f'{{"type":"x","deep":{nested(100_000)}}}',
    "100,000 nested objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "a lone surrogate as the type": '{"type":"\\ud800"}',
    "no JSON": "hello",
    "an empty message": "",
    "JSON that is no object": "[1,2]",
}
LAST = '{"type":"last"}'


def frame(text: str) -> bytes:
    data = text.encode()
    return b"\x81\x7f" + struct.pack(">Q", len(data)) + data


def serve(listener: socket.socket, texts: list[str]) -> None:
    connection, _ = listener.accept()
    with connection:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(4096)
        lines = dict(line.split(b": ", 1) for line in head.splitlines()[1:-1])
        key = next(value for name, value in lines.items() if name.lower() == b"sec-websocket-key")
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324 - RFC 6455
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        # Waits for a frame of the client's, which then has its handlers.
        connection.recv(4096)
        connection.sendall(b"".join(map(frame, [*texts, LAST])))
        # Until the client closes.
        while connection.recv(65536)[:1] not in (b"", b"\x88"):
            pass


@pytest.fixture
def hostile() -> Iterator[str]:
    """A server that sends all of it, as soon as it is sent anything."""
    listener = socket.create_server(("127.0.0.1", 0))
    texts = [text for pair in zip(DROPPED.values(), DROPPED.values(), strict=True) for text in pair]
    thread = threading.Thread(target=serve, args=(listener, [*texts, *DELIVERED.values()]))
    thread.start()
    yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    thread.join()
    listener.close()


async def test_readers_go_on_whatever_comes(hostile: str) -> None:
    seen: list[str] = []
    looked: list[Any] = []
    done = anyio.Event()

    def look(message: letta.Message, _: str) -> None:
        seen.append(message.raw_text)
        looked.append((message.type, message.to_dict(), repr(message), list(message), dir(message)))
        if message.type == "last":
            done.set()

    async with letta.connect(hostile, transport="single") as client:
        client.on_message(look)
        client.on_message(lambda *_: None, types=["last"])
        client.on_message(lambda *_: None, runtime=RUNTIME)
        client.on_external_tool_call(lambda _: "done")
        client.on_approval_request(lambda _: letta.deny("no"))
        async with client.messages("last") as messages:
            client.send_raw({"type": "begin"})
            assert (await anext(aiter(messages))).type == "last"
            await done.wait()
        stats = client.stats
        assert client.state == "open"
    assert seen == [*DELIVERED.values(), LAST]
    assert len(looked) == len(seen)
    assert stats.malformed == 2 * len(DROPPED)
    assert stats.handler_errors == 0


def test_what_a_model_writes_as_arguments_is_looked_at_without_harm() -> None:
    def written(arguments: str) -> Any:
        return ToolCall(id="t", name="x", arguments=arguments).input

    assert written('{"n":1}') == {"n": 1}
    assert written("[" * 100_000) is None
    assert written(nested(100_000)) is None
    assert written(f'{{"n":{NUMBER}}}') == {"n": Decimal(NUMBER)}
    assert written("hello") is None


async def test_more_requests_than_the_limit_are_not_sent(mock: MockServer) -> None:
    async with letta.connect(mock.url, max_pending_requests=1) as client, anyio.create_task_group():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.request, "list_models")
            assert await anyio.to_thread.run_sync(mock.wait_received, "list_models")
            with pytest.raises(letta.TooManyRequests, match=r"^max_pending_requests: 1 ") as caught:
                await client.request("list_models")
            assert caught.value.retryable
            tasks.cancel_scope.cancel()
        # There is room again.
        await client.info()
    assert len([text for text in mock.received if "list_models" in str(text)]) == 1
