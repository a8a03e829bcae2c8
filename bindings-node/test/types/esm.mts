import {
  type AnyLettaAppError,
  type ApprovalRequest,
  ApprovalRequired,
  type AppServerClient,
  type AppServerInfoResponseMessage,
  allow,
  type ClientClosed,
  connect,
  createAppServerClient,
  type Disconnected,
  deny,
  type ErrorCode,
  isLettaAppError,
  type ListModelsResponseMessage,
  type Question,
  type RunTurnCommand,
  type RuntimeScope,
  type RuntimeStartResponseMessage,
  type ToolCall,
  type Turn,
  type TurnEvent,
  type TurnPhase,
  type TurnResult,
  type TurnStatus,
  TurnTimeout,
  type Usage,
  type WsProtocolMessage,
} from "@letta/app-client-native";
import { MockServer, script } from "@letta/app-client-native/testing";
import { expectTypeOf } from "vitest";
import { library } from "./cjs.cjs";

/** Never run: only its types count. */
export async function uses(url: string): Promise<void> {
  await using client = await connect(url, { signal: AbortSignal.timeout(1000) });
  expectTypeOf(client).toEqualTypeOf<AppServerClient>();
  expectTypeOf(createAppServerClient({ url }).connect()).resolves.toEqualTypeOf<AppServerClient>();

  expectTypeOf(library(client)).resolves.toEqualTypeOf<ClientClosed>();

  const off = client.onMessage((message, channel) => {
    expectTypeOf(message).toEqualTypeOf<WsProtocolMessage>();
    expectTypeOf(channel).toEqualTypeOf<"control" | "stream">();
    switch (message.type) {
      case "turn_finished":
        expectTypeOf(message.error).toEqualTypeOf<string | undefined>();
        break;
      case "update_device_status":
        for (const { kind } of message.device_status.background_processes) {
          expectTypeOf(kind).toEqualTypeOf<"bash" | "agent_task" | "monitor">();
        }
        break;
      case "stream_delta":
        expectTypeOf(message.delta.message_type).toExtend<string>();
        break;
    }
  });
  expectTypeOf(off).toEqualTypeOf<() => void>();

  expectTypeOf(client.info()).resolves.toEqualTypeOf<AppServerInfoResponseMessage>();
  const started = await client.runtimeStart({ create_agent: { body: {} }, mode: "acceptEdits" });
  expectTypeOf(started).toEqualTypeOf<RuntimeStartResponseMessage>();
  expectTypeOf(started.runtime).toEqualTypeOf<RuntimeScope | null>();
  if (!started.runtime) return;

  const models = client.request<"list_models", ListModelsResponseMessage>("list_models", {
    force: true,
  });
  expectTypeOf(models).resolves.toEqualTypeOf<ListModelsResponseMessage>();
  const { runtime } = started;
  expectTypeOf(
    client.request(
      { type: "sync", request_id: "r", runtime },
      { predicate: (message) => message.type === "sync_response" },
    ),
  )
    .resolves.toHaveProperty("type")
    .toEqualTypeOf<"sync_response">();

  // A handler that returns nothing answers nothing.
  // @ts-expect-error
  client.onExternalToolCall(async () => {});
  // @ts-expect-error
  client.onExternalToolCall(() => Promise.resolve(undefined));
  // @ts-expect-error
  client.onExternalToolCall(() => {});
  client.onExternalToolCall(async ({ input }) => ({ found: input }));
  client.onExternalToolCall(({ runtime }): RuntimeScope | string => runtime ?? "none");
  client.onExternalToolCall(async () => [1, true]);
  client.onExternalToolCall(() => Uint8Array.of(1));

  try {
    await client.info();
  } catch (error) {
    if (!isLettaAppError(error)) throw error;
    expectTypeOf(error).toEqualTypeOf<AnyLettaAppError>();
    expectTypeOf(error.code).toEqualTypeOf<ErrorCode>();
    // @ts-expect-error
    if (error.code === "request_timout") return;
    switch (error.code) {
      case "disconnected":
        expectTypeOf(error).toEqualTypeOf<Disconnected>();
        break;
      case "server_start":
        expectTypeOf(error.outputTail).toEqualTypeOf<readonly string[]>();
        break;
    }
  }

  const result = await client.runTurn(
    { runtime, payload: { kind: "create_message", messages: [{ role: "user", content: "Hi" }] } },
    { approvals: "wait", idleTimeoutMs: 120_000, allowLoopStatusFallback: true },
  );
  expectTypeOf(result).toEqualTypeOf<TurnResult>();
  expectTypeOf(result.usage.contextTokens).toEqualTypeOf<number | null>();
  expectTypeOf(new TurnTimeout("late").code).toEqualTypeOf<"turn_timeout">();

  // @ts-expect-error The server would answer this mode with silence.
  await client.runtimeStart({ agent_id: "a", mode: "yolo" });
  // What may be there or not goes as it is.
  const cwd: string | undefined = url || undefined;
  await client.runtimeStart({ agent_id: "a", cwd, mode: undefined });
  await client.request("runtime_start", { agent_id: cwd, request_id: undefined });
  await client.cron.runs({ task_id: "t", limit: cwd?.length });
  // @ts-expect-error What has to be there may not.
  await client.sync({ runtime: undefined });
  // @ts-expect-error A runtime has two parts.
  await client.sync({ runtime: { agent_id: "a" } });

  await using mock = await MockServer.start([script.turn({ text: "42", usage: [10, 2] })]);
  expectTypeOf(mock.url).toEqualTypeOf<string>();
  // What may be there or not goes as it is.
  const number: number | undefined = Number(url) || undefined;
  await MockServer.start({
    pingIntervalMs: number,
    slowReaderLimits: { pauseBytes: number },
    turns: [script.turn({ delayMs: number, toolCalls: [{ name: "Read", result: undefined }] })],
  });
  await MockServer.play(url, "single", { stepTimeoutMs: number });
  await mock.waitDone({ timeoutMs: number });
  mock.assertReceived("input", { times: number, fields: undefined });
}

/** Never run: every type of event is told apart, and `unknown` is one among them. */
export function told(event: TurnEvent): string {
  switch (event.type) {
    case "assistant_delta":
    case "reasoning_delta":
      expectTypeOf(event.runId).toEqualTypeOf<string>();
      return event.messageId + event.text;
    case "tool_call_start":
      return event.name + event.callId + event.runId;
    case "tool_call_arguments":
      return event.callId + event.arguments;
    case "tool_output":
      return event.callId + event.output;
    case "tool_call_end":
      return event.callId + event.status + event.output;
    case "approval_requested":
      expectTypeOf(event.request).toEqualTypeOf<ApprovalRequest>();
      return event.request.toolName;
    case "approval_decided":
      expectTypeOf(event.decision).toEqualTypeOf<"allow" | "deny" | null>();
      return event.requestId;
    case "approval_refused":
      return event.requestId + event.reason;
    case "usage":
      expectTypeOf(event.usage).toEqualTypeOf<Usage>();
      return event.runId;
    case "retry":
      expectTypeOf(event.delayMs).toEqualTypeOf<number | null>();
      return event.message;
    case "status":
      return event.status;
    case "resumed":
      return "";
    case "queued":
      expectTypeOf(event.position).toEqualTypeOf<number>();
      return "";
    case "run_started":
    case "run_withdrawn":
      return event.runId;
    case "lagged":
      expectTypeOf(event.dropped).toEqualTypeOf<number>();
      return "";
    case "finished":
      expectTypeOf(event.result).toEqualTypeOf<TurnResult>();
      return event.result.text;
    case "unknown":
      expectTypeOf(event.raw).toEqualTypeOf<Record<string, unknown>>();
      // @ts-expect-error What is unknown has no field of a known event.
      return event.text;
    default:
      expectTypeOf(event).toBeNever();
      return event;
  }
}

/** Never run: only its types count. */
export async function follows(client: AppServerClient, command: RunTurnCommand): Promise<void> {
  const turn = client.sendTurn(command, {
    toolTimeoutMs: 1000,
    approvalTimeoutMs: Number.POSITIVE_INFINITY,
    onApproval: async (request, { signal }) => {
      expectTypeOf(request).toEqualTypeOf<ApprovalRequest>();
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
      expectTypeOf(request.questions).toEqualTypeOf<Question[]>();
      if (request.toolName === "AskUserQuestion") return request.answer({ "Which?": "A" });
      const updatedInput = { ...request.input, timeout: 60 };
      return signal.aborted ? deny("late") : allow({ updatedInput, suggestions: ["a"] });
    },
  });
  expectTypeOf(turn).toEqualTypeOf<Turn>();
  expectTypeOf(await turn).toEqualTypeOf<TurnResult>();
  expectTypeOf(turn.then(({ text }) => text)).toEqualTypeOf<Promise<string>>();
  expectTypeOf(turn.catch(() => 1)).toEqualTypeOf<Promise<TurnResult | number>>();
  expectTypeOf(Promise.all([turn])).resolves.toEqualTypeOf<[TurnResult]>();
  for await (const event of turn) expectTypeOf(event).toEqualTypeOf<TurnEvent>();
  for await (const text of turn.textStream()) expectTypeOf(text).toEqualTypeOf<string>();
  expectTypeOf(turn.abort()).resolves.toEqualTypeOf<TurnResult>();
  expectTypeOf(turn.detach()).toEqualTypeOf<void>();
  expectTypeOf(turn.status).toEqualTypeOf<TurnPhase | TurnStatus | "detached">();
  expectTypeOf(turn.explain()).toEqualTypeOf<string>();
  await using scoped = client.sendTurn(command);
  const { messages } = await scoped;
  for (const message of messages) {
    if (message.type === "tool_call") expectTypeOf(message.call).toEqualTypeOf<ToolCall>();
    else expectTypeOf(message.messageId).toEqualTypeOf<string>();
  }
  const { runtime } = command;
  const off = client.onApprovalRequest(() => deny("nobody is here"), { runtime });
  expectTypeOf(off).toEqualTypeOf<() => void>();
  client.onExternalToolCall(async ({ input }, { signal }) => {
    expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
    return { content: [{ type: "text", text: JSON.stringify(input) }] };
  });
  client.onExternalToolCall(() => "x", { runtime, names: ["lookup"] });
  client.onExternalToolCall(() => "x", { runtime: undefined, names: undefined });
  // @ts-expect-error Names of which runtime?
  client.onExternalToolCall(() => "x", { names: ["lookup"] });
  expectTypeOf(new ApprovalRequired("asked").request).toEqualTypeOf<ApprovalRequest>();

  // @ts-expect-error There is no such mode.
  client.sendTurn(command, { approvals: "return" });
  // @ts-expect-error A handler decides with an object.
  client.sendTurn(command, { onApproval: () => true });
  // @ts-expect-error There are two behaviors.
  client.onApprovalRequest(() => ({ behavior: "maybe" }));
  // @ts-expect-error A denial needs a reason.
  deny();
  // @ts-expect-error An input has a payload.
  client.sendTurn({ runtime });
}
