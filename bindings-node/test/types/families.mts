/** The types of the families of commands, of requests and of messages. */

import type {
  AgentListResponseMessage,
  AppServerClient,
  ChannelsListResponseMessage,
  CommandMap,
  ConversationMessagesListResponseMessage,
  CronRunLogEntry,
  CronRunsResponseMessage,
  DeviceStatusUpdateMessage,
  DirectoryEntry,
  FileChangedMessage,
  FileChanges,
  InputAcceptedResponseMessage,
  JsonObject,
  ListConnectProvidersResponseMessage,
  ListMemoryResponseMessage,
  ListModelsResponseMessage,
  MessageMap,
  MessageStream,
  ReadFileResponseMessage,
  RuntimeScope,
  RuntimeStartCommand,
  SearchBranchesResponseMessage,
  SecretListResponseMessage,
  SetExperimentResponseMessage,
  SkillEnableResponseMessage,
  StreamDelta,
  SyncResponseMessage,
  TeleportReadyMessage,
  Terminal,
  TerminalExitedMessage,
  TerminalSpawnedMessage,
  TurnFinishedMessage,
  WsProtocolCommand,
  WsProtocolMessage,
} from "@letta/app-client-native";
import { expectTypeOf } from "vitest";

const TAGS = ["a", "b"] as const;
const SOURCES = ["project", "agent"] as const;
const PARTS = [{ type: "text", text: "Hi" }] as const;
const MESSAGES = [{ role: "user", content: PARTS }] as const;
const GROUPS = [
  { tools: [{ name: "t", description: "d", parameters: { type: "object", required: ["a"] } }] },
] as const;

/** Never run: lists of commands may be constants of a program; what comes is its own to change, as below. */
export async function constants(client: AppServerClient, runtime: RuntimeScope): Promise<void> {
  await client.runtimeStart({
    agent_id: "a",
    conversation_source_tags: TAGS,
    skill_sources: SOURCES,
    external_tools: GROUPS,
  });
  client.input({ runtime, payload: { kind: "create_message", messages: MESSAGES } });
  const session = await client.session({ agentId: "a", externalTools: GROUPS });
  await session.run(PARTS);
  expectTypeOf<RuntimeStartCommand["skill_sources"]>().toEqualTypeOf<
    readonly ("bundled" | "global" | "agent" | "project")[] | undefined
  >();
}

/** Never run: one command of each family. */
export async function families(client: AppServerClient, runtime: RuntimeScope): Promise<void> {
  const agents = await client.agents.list();
  expectTypeOf(agents).toEqualTypeOf<AgentListResponseMessage>();
  expectTypeOf(agents.agents).toEqualTypeOf<JsonObject[]>();
  expectTypeOf(client.channels.list()).resolves.toEqualTypeOf<ChannelsListResponseMessage>();
  const page = await client.conversations.listMessages({ conversation_id: "c" });
  expectTypeOf(page).toEqualTypeOf<ConversationMessagesListResponseMessage>();
  // Told apart: what only some servers say may be missing, what is empty is null.
  expectTypeOf(page.has_more).toEqualTypeOf<boolean | undefined>();
  expectTypeOf(page.next_before).toEqualTypeOf<string | null | undefined>();
  const runs = await client.cron.runs({ task_id: "t", limit: 2 }, { timeoutMs: 5 });
  expectTypeOf(runs).toEqualTypeOf<CronRunsResponseMessage>();
  const read = await client.files.read({ path: "/a", encoding: "utf8" });
  expectTypeOf(read).toEqualTypeOf<ReadFileResponseMessage>();
  expectTypeOf(read.content).toEqualTypeOf<string | null>();
  expectTypeOf(client.files.watch({ path: "/a" })).toEqualTypeOf<void>();
  const branches = client.git.searchBranches({ query: "" });
  expectTypeOf(branches).resolves.toEqualTypeOf<SearchBranchesResponseMessage>();
  const memory = client.memory.list({ agent_id: "a" }, { signal: AbortSignal.timeout(1) });
  expectTypeOf(memory).resolves.toEqualTypeOf<ListMemoryResponseMessage>();
  expectTypeOf(client.models.list()).resolves.toEqualTypeOf<ListModelsResponseMessage>();
  const providers = client.providers.list({ target: "local" });
  expectTypeOf(providers).resolves.toEqualTypeOf<ListConnectProvidersResponseMessage>();
  const messages = [{ role: "user" as const, content: "Hi", client_message_id: "m", otid: null }];
  const input = client.runtimes.input({ runtime, payload: { kind: "create_message", messages } });
  expectTypeOf(input).resolves.toEqualTypeOf<InputAcceptedResponseMessage>();
  const secrets = client.secrets.list({ agent_id: "a" });
  expectTypeOf(secrets).resolves.toEqualTypeOf<SecretListResponseMessage>();
  expectTypeOf((await client.server.info()).backend).toEqualTypeOf<"local" | "api">();
  const set = client.settings.setExperiment({ experiment_id: "diffs", enabled: true });
  expectTypeOf(set).resolves.toEqualTypeOf<SetExperimentResponseMessage>();
  const skill = client.skills.enable({ skill_path: "/s" });
  expectTypeOf(skill).resolves.toEqualTypeOf<SkillEnableResponseMessage>();
  const target = { connection_id: "c", device_id: "d", connection_name: "n" };
  const teleport = client.teleport.request({ teleport_id: "t", runtime, target });
  expectTypeOf(teleport).resolves.toEqualTypeOf<TeleportReadyMessage>();
  const spawn = await client.terminals.spawn({ terminal_id: "t", cols: 1, rows: 1 });
  expectTypeOf(spawn).toEqualTypeOf<TerminalSpawnedMessage | TerminalExitedMessage>();
  if (spawn.type === "terminal_exited") {
    expectTypeOf(spawn.error).toEqualTypeOf<string | undefined>();
  }

  // @ts-expect-error The path is missing.
  client.files.read({});
  // @ts-expect-error A path is a string.
  client.files.read({ path: 7 });
  // @ts-expect-error There is no such field.
  client.models.list({ forced: true });
  // @ts-expect-error The server knows no such experiment.
  client.settings.setExperiment({ experiment_id: "unheard_of", enabled: true });
  // @ts-expect-error A command without an id takes none.
  client.terminals.kill({ terminal_id: "t", request_id: "r" });
  // @ts-expect-error What may be missing may not be null.
  client.files.read({ path: "/a", encoding: null });
  // @ts-expect-error A family has only its own commands.
  client.agents.read({ path: "/a" });
}

/** Never run: requests by type. */
export async function requests(client: AppServerClient, runtime: RuntimeScope): Promise<void> {
  const models = client.request("list_models", { force: true });
  expectTypeOf(models).resolves.toEqualTypeOf<ListModelsResponseMessage>();
  expectTypeOf(client.request("list_models")).toEqualTypeOf<typeof models>();
  const named = client.request<"list_models", ListModelsResponseMessage>("list_models");
  expectTypeOf(named).toEqualTypeOf<typeof models>();
  const synced = client.request("sync", { runtime }, { timeoutMs: 1000 });
  expectTypeOf(synced).resolves.toEqualTypeOf<SyncResponseMessage>();
  const judged = client.request(
    "sync",
    { runtime },
    { predicate: (message) => message.type === "turn_finished" },
  );
  expectTypeOf(judged).resolves.toEqualTypeOf<TurnFinishedMessage>();
  // What this version does not know, or only the running program does.
  const future = client.request("future_command", { anything: 1 });
  expectTypeOf(future).resolves.toEqualTypeOf<WsProtocolMessage>();
  const [type, body]: [string, Record<string, unknown>] = ["read_file", {}];
  expectTypeOf(client.request(type, body)).toEqualTypeOf<typeof future>();
  expectTypeOf(client.request("read_file", body)).toEqualTypeOf<typeof future>();
  const command = { type: "list_models" as const, request_id: "r" };
  expectTypeOf(client.request(command)).toEqualTypeOf<typeof future>();

  expectTypeOf<keyof CommandMap>().toEqualTypeOf<WsProtocolCommand["type"]>();
  expectTypeOf<keyof MessageMap>().toEqualTypeOf<WsProtocolMessage["type"]>();
  expectTypeOf<CommandMap["terminal_kill"]["response"]>().toEqualTypeOf<undefined>();

  // @ts-expect-error The path is missing.
  client.request("read_file");
  // @ts-expect-error A path is a string.
  client.request("read_file", { path: 7 });
  // @ts-expect-error There is no such field.
  client.request("list_models", { forced: true });
  // @ts-expect-error Nothing answers it.
  client.request("terminal_kill", { terminal_id: "t" });
}

/** Never run: what is built on the families. */
export async function conveniences(client: AppServerClient): Promise<void> {
  await using terminal = await client.terminals.open({ cols: 80, rows: 24, cwd: "/" });
  expectTypeOf(terminal).toEqualTypeOf<Terminal>();
  expectTypeOf(terminal.exitCode).toEqualTypeOf<number | null>();
  for await (const text of terminal) expectTypeOf(text).toEqualTypeOf<string>();
  const changes = client.files.changes("/a", { signal: AbortSignal.timeout(1) });
  expectTypeOf(changes).toEqualTypeOf<FileChanges>();
  for await (const change of changes) expectTypeOf(change).toEqualTypeOf<FileChangedMessage>();
  for await (const entry of client.files.entries("/", { pageSize: 9 })) {
    expectTypeOf(entry).toEqualTypeOf<DirectoryEntry>();
  }
  for await (const message of client.conversations.messages("c", { before: "m" })) {
    expectTypeOf(message).toEqualTypeOf<JsonObject>();
  }
  for await (const run of client.cron.allRuns("t")) {
    expectTypeOf(run).toEqualTypeOf<CronRunLogEntry>();
  }
  for await (const agent of client.agents.all({ query: { tags: ["x"] } })) {
    expectTypeOf(agent).toEqualTypeOf<JsonObject>();
  }

  // @ts-expect-error Only the size of a page can be chosen.
  client.cron.allRuns("t", { offset: 3 });
  // @ts-expect-error A terminal is typed text.
  terminal.write(7);
}

/** Never run: messages by their types. */
export async function messages(client: AppServerClient, runtime: RuntimeScope): Promise<void> {
  client.onMessage(
    (message, channel) => {
      expectTypeOf(message).toEqualTypeOf<TurnFinishedMessage | DeviceStatusUpdateMessage>();
      expectTypeOf(channel).toEqualTypeOf<"control" | "stream">();
    },
    { types: ["turn_finished", "update_device_status"], runtime },
  );
  client.onMessage((message) => expectTypeOf(message).toEqualTypeOf<WsProtocolMessage>(), {
    runtime,
  });
  client.onMessage(
    (message) =>
      expectTypeOf(message).toEqualTypeOf<Record<string, unknown> & { type: "brand_new" }>(),
    { types: ["brand_new"] },
  );
  await using finished = client.messages({ types: ["turn_finished"], runtime, limit: 10 });
  expectTypeOf(finished).toEqualTypeOf<MessageStream<TurnFinishedMessage>>();
  expectTypeOf(finished.dropped).toEqualTypeOf<number>();
  for await (const { stop_reason } of finished) expectTypeOf(stop_reason).toExtend<string>();
  for await (const message of client.messages()) {
    expectTypeOf(message).toEqualTypeOf<WsProtocolMessage>();
  }

  client.onMessage(
    // @ts-expect-error A message of this type has no delta.
    ({ delta }) => delta,
    { types: ["turn_finished"] },
  );
  // @ts-expect-error Types come in a list.
  client.messages({ types: "turn_finished" });
}

/** Never run: every delta is told apart by its `message_type`. */
export function told(delta: StreamDelta): unknown {
  switch (delta.message_type) {
    case "system_message":
    case "user_message":
    case "assistant_message":
      return delta.content;
    case "reasoning_message":
      expectTypeOf(delta.reasoning).toEqualTypeOf<string>();
      return delta.reasoning;
    case "hidden_reasoning_message":
      return delta.state;
    case "tool_call_message":
    case "approval_request_message":
      return delta.tool_call;
    case "tool_return_message":
      expectTypeOf(delta.status).toEqualTypeOf<"success" | "error">();
      return delta.tool_return;
    case "approval_response_message":
      return delta.approvals;
    case "ping":
    case "event_message":
      return delta.message_type;
    case "error_message":
    case "loop_error":
    case "retry":
    case "status":
      expectTypeOf(delta.message).toEqualTypeOf<string>();
      return delta.message;
    case "stop_reason":
      return delta.stop_reason;
    case "usage_statistics":
      return delta.total_tokens;
    case "client_tool_start":
    case "client_tool_end":
      expectTypeOf(delta.tool_call_id).toEqualTypeOf<string>();
      return delta.tool_call_id;
    case "command_start":
    case "command_end":
    case "slash_command_start":
    case "slash_command_end":
      expectTypeOf(delta.command_id).toEqualTypeOf<string>();
      return delta.command_id;
    default:
      expectTypeOf(delta).toBeNever();
      return delta;
  }
}
