import {
  type AppServerClient,
  type ControlRequestMessage,
  connect,
  type RuntimeScope,
  type RuntimeStartCommand,
} from "@letta/app-client-native";
import { afterAll, beforeAll, expect, it } from "vitest";
import { say } from "../helpers.js";
import { type Live, startLive } from "./harness.js";

const TURNS = 20;

let live: Live;
let client: AppServerClient;

beforeAll(async () => {
  live = await startLive({ token: "live-token" });
  client = await connect({ url: live.info.url, authToken: "live-token" });
});

afterAll(async () => {
  await client?.close();
  await live?.close();
});

/** A new agent with a conversation of its own. */
async function newRuntime(options: Partial<RuntimeStartCommand> = {}): Promise<RuntimeScope> {
  const { runtime, error } = await client.runtimeStart({
    create_agent: { body: { model: live.info.model }, pin_global: false },
    cwd: live.info.cwd,
    mode: "standard",
    ...options,
  });
  if (!runtime) throw new Error(error ?? "no runtime");
  return runtime;
}

const directive = (name: string, input: object) =>
  `TOOL=${name}|${encodeURIComponent(JSON.stringify(input))}`;

/** Allows every tool call of a runtime; gives the unsubscriber and the questions. */
function allowAll(runtime: RuntimeScope) {
  const asked: string[] = [];
  const off = client.onMessage((message) => {
    if (message.type !== "control_request") return;
    const { request_id, request, conversation_id } = message as ControlRequestMessage;
    if (conversation_id !== undefined && conversation_id !== runtime.conversation_id) return;
    asked.push(request.tool_name);
    const decision = { behavior: "allow" as const };
    client.input({ runtime, payload: { kind: "approval_response", request_id, decision } });
  });
  return { asked, off };
}

it("describes itself", async () => {
  const info = await client.info();
  expect(info.letta_code_version).toBe(live.info.version);
  expect(client.serverInfo).toMatchObject({ letta_code_version: live.info.version });
});

it("runs a turn", async () => {
  const runtime = await newRuntime();
  const result = await client.runTurn({ runtime, payload: say("N=4 REASON=1") });
  expect(result).toMatchObject({
    status: "completed",
    stopReason: "end_turn",
    text: "tok0 tok1 tok2 tok3 ",
    usage: { promptTokens: 10, completionTokens: 5 },
    completedBy: "turn_finished",
    error: null,
  });
});

it("runs a turn with an external tool", async () => {
  const off = client.onExternalToolCall(async ({ tool_name, input }) => ({
    content: [{ type: "text", text: `${tool_name} of ${JSON.stringify(input)}` }],
  }));
  const parameters = { type: "object", properties: { city: { type: "string" } } };
  const tools = [{ name: "weather", description: "The weather of a city", parameters }];
  const runtime = await newRuntime({ mode: "unrestricted", external_tools: [{ tools }] });
  const text = `${directive("weather", { city: "Rome" })} N=2`;
  const result = await client.runTurn({ runtime, payload: say(text) });
  off();
  expect(result).toMatchObject({ status: "completed", text: "tok0 tok1 " });
  expect(result.toolCalls).toHaveLength(1);
  expect(result.toolCalls[0]).toMatchObject({ name: "weather", status: "success" });
  expect(result.toolCalls[0]?.output).toContain('weather of {"city":"Rome"}');
});

it("stops a turn on the server", async () => {
  const runtime = await newRuntime();
  const abort = new AbortController();
  const finished = new Promise((resolve) => {
    const off = client.onMessage((message) => {
      if (message.type === "stream_delta" && message.delta.message_type === "assistant_message") {
        abort.abort("enough");
      }
      if (message.type === "turn_finished") {
        off();
        resolve(message.stop_reason);
      }
    });
  });
  const turn = client.runTurn(
    { runtime, payload: say("N=200 SLEEP=50") },
    { signal: abort.signal },
  );
  await expect(turn).rejects.toMatchObject({ name: "AbortError", cause: "enough" });
  expect(await finished).toBe("cancelled");
});

it(`runs ${TURNS} turns back to back, every second one with an approval`, async () => {
  const runtime = await newRuntime();
  const { asked, off } = allowAll(runtime);
  for (let index = 0; index < TURNS; index += 1) {
    const asks = index % 2 === 1;
    // Writes a file: a command that only reads would not need an approval.
    const script = `echo turn ${index} | tee turn.txt`;
    const command = { command: script, description: "Notes the turn" };
    const text = asks ? `${directive("Bash", command)} N=3` : "N=3";
    const result = await client.runTurn(
      { runtime, payload: say(text) },
      { approvals: "wait", idleTimeoutMs: 20_000 },
    );
    expect(result, `turn ${index}`).toMatchObject({
      status: "completed",
      stopReason: "end_turn",
      text: "tok0 tok1 tok2 ",
      detached: false,
    });
    expect(result.toolCalls.map(({ name, status }) => [name, status])).toEqual(
      asks ? [["Bash", "success"]] : [],
    );
    if (asks) expect(result.toolCalls[0]?.output).toContain(`turn ${index}`);
  }
  off();
  expect(asked).toEqual(Array.from({ length: TURNS / 2 }, () => "Bash"));
});
