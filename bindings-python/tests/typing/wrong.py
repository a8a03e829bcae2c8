"""Uses that type checkers have to refuse: each line that ends in ``# wrong``. It is never run."""

from __future__ import annotations

import letta_app_client as letta
from letta_app_client import protocol
from letta_app_client import sync as blocked
from letta_app_client.testing import MockServer, script

RUNTIME: protocol.RuntimeScopeDict = {"agent_id": "a", "conversation_id": "c"}


async def wrong(client: letta.AppServerClient) -> object:
    await client.models.list(force="yes")  # wrong
    await client.models.list(forced=True)  # wrong
    await client.models.list(True)  # wrong
    await client.agents.retrieve()  # wrong
    await client.files.read(path="/a", encoding="latin1")  # wrong
    await client.cron.get(task_id=None)  # wrong
    await client.cron.get(task_id="t", timeout="soon")  # wrong
    await client.runtimes.sync(runtime={"agent_id": "a"})  # wrong
    await client.models.update(runtime=RUNTIME, payload=7)  # wrong
    await client.request("list_models", forced=True)  # wrong
    await client.request("no_such_command")  # wrong
    await client.request("terminal_kill", terminal_id="t")  # wrong
    client.on_message(on_finished, types="stream_delta")  # wrong
    client.messages(7)  # wrong
    client.terminals.open(80)  # wrong
    await client.no_such_family.list()  # wrong
    info = await client.server.info()
    text: str = info.protocol_version  # wrong
    letter: str = info.capabilities.split_channels  # wrong
    scope: protocol.RuntimeScopeDict = {"agent_id": 1, "conversation_id": "c"}  # wrong
    return text, letter, scope


async def wrong_commands(client: letta.AppServerClient) -> None:
    await client.runtime_start(agent_id=5)  # wrong
    await client.runtime_start(agent_id="a", mdoe="strict")  # wrong
    await client.sync(runtime=RUNTIME, recover_aproval=False)  # wrong
    await client.abort(runtime=RUNTIME, timeout_=1)  # wrong
    await client.conversation_list(limit=5)  # wrong
    await client.runtime_external_tools_update(update=[])  # wrong
    await client.run_turn(runtime=RUNTIME, payload={"kind": "mesage", "messages": []})  # wrong
    await client.submit_input(runtime=RUNTIME, payload={}, reqest_id="x")  # wrong
    client.input(runtime=RUNTIME, payload={"kind": "create_message"})  # wrong


async def wrong_sessions(client: letta.AppServerClient) -> object:
    await client.session(agent_id="a", modus="standard")  # wrong
    session = await client.session(agent_id="a")
    text: str = (await session.run("?", output_type=int)).output  # wrong
    await session.run("?", output_type=int, check=False)  # wrong
    await session.run("?", timeout="soon")  # wrong
    await letta.map(client, ["a"])  # wrong
    batch = await letta.map(client, ["a"], agents=["a"], output_type=int)
    words: list[str] = [one.output for one in batch.results]  # wrong
    await letta.connect("ws://127.0.0.1:4500", time_out=3)  # wrong
    return text, words


def on_finished(message: protocol.TurnFinishedMessage, _: letta.Channel) -> object:
    status: protocol.LoopStatus = message.stop_reason  # wrong
    return status


def wrong_names(event: letta.TurnEvent) -> object:
    try:
        letta.conect("ws://127.0.0.1:4500")  # wrong
    except letta.TurnFaild:  # wrong
        return None
    match event:
        case letta.AsistantDelta():  # wrong
            pass
        case _:
            pass
    return protocol.NoSuchMessage  # wrong


def wrong_tags(delta: protocol.StreamDelta, message: protocol.ServerMessage) -> object:
    if delta.message_type == "assistant_message":
        text: int = delta.content  # wrong
        return text
    if message.type == "turn_finished":
        reason: int = message.stop_reason  # wrong
        return reason
    return None


def wrong_scripts() -> object:
    script.turn("x", reasonin=["r"])  # wrong
    script.turn("x", delay_ms="fast")  # wrong
    MockServer(script.turn("x"))  # wrong
    return MockServer(port=5)  # wrong


def on_number(_: letta.Message, channel: int) -> object:
    return channel


def wrong_blocking(client: blocked.AppServerClient, turn: blocked.Turn) -> object:
    client.on_message(on_number)  # wrong
    client.on_state(on_finished)  # wrong
    state: int = client.state  # wrong
    status: int = turn.status  # wrong
    return state, status
