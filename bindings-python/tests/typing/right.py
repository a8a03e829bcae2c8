"""Uses that type checkers have to accept, with the types they have to see. It is never run."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import letta_app_client as letta
from letta_app_client import Fields, protocol
from letta_app_client import sync as blocked

if TYPE_CHECKING:
    from typing_extensions import assert_never, assert_type

RUNTIME: protocol.RuntimeScopeDict = {"agent_id": "a", "conversation_id": "c"}


@dataclass
class Finding:
    file: str
    line: int


async def results_of_a_type(client: letta.AppServerClient) -> None:
    session = await client.session(agent_id="a", mode="standard", timeout=60)
    assert_type(await session.run("?", check=False), letta.TurnResult)
    found = await session.run("?", output_type=Finding, timeout=60)
    assert_type(found, letta.StructuredResult[Finding])
    assert_type(found.output.line, int)
    listed = await session.run("?", output_type=list[Finding])
    assert_type(listed.output, list[Finding])
    result: letta.TurnResult = listed
    assert_type(result.text, str)
    batch = await letta.map(client, ["a", "b"], agents=["a"], progress=True, timeout=60)
    assert_type(batch, letta.Batch[letta.TurnResult])
    assert_type(batch[0].result, letta.TurnResult | None)
    assert_type(batch[1:], letta.Batch[letta.TurnResult])
    assert_type(batch.results, tuple[letta.TurnResult, ...])
    findings = await letta.map(client, ["a"], agents="a", output_type=Finding)
    assert_type([one.output for one in findings.results], list[Finding])
    turns = [session.send("a"), session.send("b")]
    assert_type(await letta.gather(*turns, progress=True), letta.Batch[letta.TurnResult])
    assert_type(turns[0].agent_id, str)


async def options_as_one_value() -> None:
    options = letta.ConnectOptions(url="ws://127.0.0.1:4500", transport="auto")
    async with letta.connect(options, request_timeout=5) as client:
        assert_type(client, letta.AppServerClient)
    async with letta.spawn_server(on_log=print) as server:
        assert_type(server.options(), letta.ConnectOptions)


async def one_command_of_each_family(client: letta.AppServerClient) -> None:
    created = await client.agents.create(body={"name": "scribe"}, timeout=5)
    assert_type(created, protocol.AgentCreateResponseMessage)
    channels = await client.channels.list()
    assert_type(channels.channels, list[protocol.ChannelSummary])
    fork = await client.conversations.fork(conversation_id="c", body={"hidden": True})
    assert_type(fork.conversation, protocol.ForkedConversationReference | None)
    tasks = await client.cron.list(agent_id="a")
    assert_type(tasks.tasks[0].last_run_outcome, protocol.CronRunOutcome | None)
    read = await client.files.read(path="/a", encoding="base64")
    assert_type(read.content, str | None)
    branches = await client.git.search_branches(query="main")
    assert_type(branches.branches[0].is_current, bool)
    memory = await client.memory.list(agent_id="a")
    assert_type(memory.entries[0].relative_path, str)
    models = await client.models.list(force=True)
    assert_type(models.entries, list[protocol.ListModelsResponseModelEntry])
    providers = await client.providers.list(target="local")
    assert_type(
        providers.providers[0].auth_methods, list[protocol.ConnectProviderAuthMethod] | None
    )
    aborted = await client.runtimes.abort(runtime=RUNTIME, run_id=None)
    assert_type(aborted.runtime, protocol.RuntimeScope)
    secrets = await client.secrets.apply(agent_id="a", set={"KEY": "x"}, unset=[])
    assert_type(secrets.names, list[str])
    info = await client.server.info()
    assert_type(info.capabilities.split_channels, bool)
    experiments = await client.settings.set_experiment(experiment_id="diffs", enabled=True)
    assert_type(experiments.experiments[0].id, protocol.ExperimentId)
    skill = await client.skills.enable(skill_path="/s")
    assert_type(skill.skill_name, str | None)
    probe = await client.teleport.probe(runtime=aborted.runtime)
    assert_type(probe, protocol.TeleportProbeResponseMessage)
    client.terminals.kill(terminal_id="t")


async def conveniences(client: letta.AppServerClient) -> None:
    async with client.terminals.open(cols=80, rows=24) as terminal:
        terminal.write("ls\n")
        async for text in terminal:
            assert_type(text, str)
        assert_type(terminal.exit_code, int | None)
    async with client.files.changes("/a") as changes:
        async for change in changes:
            assert_type(change, protocol.FileChangedMessage)
    async for stored in client.conversations.messages("c"):
        assert_type(stored, Fields)
    async for entry in client.cron.all_runs("t"):
        assert_type(entry, protocol.CronRunLogEntry)
    async with contextlib.aclosing(client.agents.all()) as agents:
        async for agent in agents:
            assert_type(agent, Fields)
    async with contextlib.aclosing((await client.session(agent_id="a")).messages()) as history:
        assert_type(await anext(history), Fields)
    async with client.messages("turn_finished", runtime=RUNTIME) as finished:
        async for message in finished:
            assert_type(message.stop_reason, protocol.StopReasonType)
    async with client.messages("turn_finished", "stream_delta") as several:
        async for message_of_some in several:
            assert_type(message_of_some, letta.Message)


async def requests(client: letta.AppServerClient) -> None:
    models = await client.request("list_models", force=True)
    assert_type(models, protocol.ListModelsResponseMessage)
    task = await client.request({"type": "cron_get", "task_id": "t"})
    assert_type(task, protocol.CronGetResponseMessage)
    started = await client.runtime_start(agent_id="a", mode="standard")
    assert_type(started.runtime, protocol.RuntimeScope)
    plain = {"agent_id": "a", "conversation_id": "c"}
    await client.sync(runtime=plain, recover_approvals=False, request_id="mine", timeout=5)
    await client.abort(runtime=started.runtime, run_id=None)
    listed = await client.conversation_list(query={"agent_id": "a"})
    assert_type(listed, protocol.ConversationListResponseMessage)
    payload: protocol.InputCreateMessagePayload = {"kind": "create_message", "messages": []}
    client.input(runtime=plain, payload={**payload, "image_failure_mode": "drop"})
    accepted = await client.submit_input(
        runtime=started.runtime, payload={"kind": "create_message", "messages": []}
    )
    assert_type(accepted, protocol.InputAcceptedResponseMessage)


def told_apart(message: letta.TurnMessage) -> str:
    if message.type == "tool_call":
        assert_type(message, letta.ToolCall)
        return message.name
    assert_type(message.type, Literal["assistant", "reasoning"])
    return message.text


def on_finished(message: protocol.TurnFinishedMessage, channel: letta.Channel) -> None:
    assert_type(message.run_id, str | None)
    assert_type(channel, letta.Channel)


def handlers(client: letta.AppServerClient) -> None:
    client.on_message(on_finished, types="turn_finished")
    client.on_message(on_finished, types=("turn_finished",), runtime=RUNTIME)
    client.on_message(lambda message, _: message.loop_status, types="update_loop_status")
    client.on_message(lambda message, _: message.type)


def all_deltas(message: protocol.StreamDeltaMessage) -> object:  # noqa: C901, PLR0911, PLR0912
    match message.delta:
        case protocol.ApprovalRequestMessageDelta(tool_call=tool_call):
            return tool_call
        case protocol.ApprovalResponseMessageDelta() as delta:
            return delta.approval_request_id
        case protocol.AssistantMessageDelta(content):
            return content
        case protocol.ClientToolEndDelta(status=status):
            return status
        case protocol.ClientToolStartDelta(tool_call_id):
            assert_type(tool_call_id, str)
            return tool_call_id
        case protocol.CommandEndDelta(success=success):
            return success
        case protocol.CommandStartDelta(command_id=command_id):
            return command_id
        case protocol.ErrorMessageDelta(error_type=error_type):
            return error_type
        case protocol.EventMessageDelta() as delta:
            return delta.event_data
        case protocol.HiddenReasoningMessageDelta(state):
            return state
        case protocol.LoopErrorDelta(is_terminal=is_terminal):
            assert_type(is_terminal, bool)
            return is_terminal
        case protocol.PingDelta():
            return None
        case protocol.ReasoningMessageDelta(reasoning):
            assert_type(reasoning, str)
            return reasoning
        case protocol.RetryDelta(reason=reason):
            assert_type(reason, protocol.StopReasonType)
            return reason
        case protocol.SlashCommandEndDelta(output=output):
            return output
        case protocol.SlashCommandStartDelta(input=text):
            return text
        case protocol.StatusDelta(level=level):
            return level
        case protocol.StopReasonDelta(stop_reason):
            assert_type(stop_reason, protocol.StopReasonType)
            return stop_reason
        case protocol.SystemMessageDelta(content):
            return content
        case protocol.ToolCallMessageDelta(tool_call):
            return tool_call
        case protocol.ToolReturnMessageDelta(tool_return=tool_return):
            return tool_return
        case protocol.UsageStatisticsDelta(total_tokens=total):
            assert_type(total, float | None)
            return total
        case protocol.UserMessageDelta(content):
            return content
        case Fields() as unknown:
            return unknown.raw
    assert_never(message.delta)


def told_apart_by_tag(delta: protocol.StreamDelta, message: protocol.ServerMessage) -> object:
    if delta.message_type == "retry":
        assert_type(delta, protocol.RetryDelta)
    match delta:
        case protocol.AssistantMessageDelta():
            return delta.content
        case protocol.UnknownDelta():
            return delta["message_type"]
        case _:
            pass
    if message.type == "turn_finished":
        assert_type(message, protocol.TurnFinishedMessage)
    return None


def on_any(message: protocol.ServerMessage, _: letta.Channel) -> object:
    match message.type:
        case "turn_finished":
            return message.stop_reason
        case "stream_delta":
            assert_type(message, protocol.StreamDeltaMessage)
        case _:
            pass
    return None


def on_plain(message: letta.Message, _: letta.Channel) -> object:
    return message.runtime


def modules_by_name(error: letta.errors.TurnFailed, event: letta.events.Retry) -> object:
    return letta.results.TurnResult, letta.session.Session, error, event


def handlers_of_any(client: letta.AppServerClient) -> None:
    client.on_message(on_any)
    client.on_message(on_plain)
    client.on_message(lambda message, _: message.type)


def blocking(client: blocked.AppServerClient, turn: blocked.Turn) -> None:
    assert_type(client.state, letta.State)
    assert_type(turn.status, letta.TurnPhase | letta.TurnStatus)
    client.on_state(lambda state, _: assert_type(state, letta.State))
    client.on_message(on_blocking, types="turn_finished")
    with contextlib.closing(client.session(agent_id="a").messages()) as stored:
        assert_type(next(stored), Fields)
    for entry in client.cron.all_runs("t"):
        assert_type(entry, protocol.CronRunLogEntry)


def on_blocking(message: protocol.TurnFinishedMessage, _: blocked.Channel) -> object:
    return message.stop_reason
