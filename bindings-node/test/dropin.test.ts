import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { MockServer } from "@letta/app-client-native/testing";
import { expect, it } from "vitest";

/**
 * A program in the style of the documentation of the TypeScript client: a client that is built and
 * connected in two steps, tools, approvals answered from a message handler, an observer of what is
 * sent. Only the line that imports the client is not the original one.
 */
const program = (line: string) => `
${line}

async function main(url) {
  const log = [];
  class NoSocket {}
  const client = createAppServerClient({ url, authToken: "secret", WebSocket: NoSocket, requestTimeoutMs: 5000 });
  client.onSend((command) => log.push("sent " + command.type));
  client.onDisconnect(({ channel }) => log.push("lost " + channel));
  const same = await client.connect();
  if (same !== client) throw new Error("connect gives another client");

  const off = client.onMessage((message, channel) => {
    if (message.type === "control_request") {
      client.input({
        runtime: message.runtime,
        payload: {
          kind: "approval_response",
          request_id: message.request_id,
          decision: { behavior: "allow" },
        },
      });
    }
    if (channel === "control" && message.type === "turn_finished") log.push("finished " + message.stop_reason);
  });
  const offTools = client.onExternalToolCall(async (request) => ({
    content: [{ type: "text", text: "weather in " + request.input.city }],
  }));

  const info = await client.info();
  if (!isAppServerInfoResponseMessage(info)) throw new Error("no info");
  const started = await client.runtimeStart({
    agent_id: "agent-123",
    create_conversation: { body: {} },
    cwd: process.cwd(),
    mode: "standard",
    external_tools: [
      { tools: [{ name: "weather", description: "Weather", parameters: { type: "object" } }] },
    ],
  });
  if (!started.success || !started.runtime) throw new Error(started.error ?? "runtime_start failed");
  const { runtime } = started;

  const requestId = client.nextRequestId("sync");
  const synced = await client.request(
    { type: "sync", request_id: requestId, runtime },
    { predicate: (message) => message.type === "sync_response", timeoutMs: 2000 },
  );
  if (synced.request_id !== requestId) throw new Error("another answer");
  await client.request("conversation_list", {}, { timeoutMs: 2000 });
  const raw = await client.requestRaw(
    { type: "abort_message", request_id: "raw-1", runtime },
    { predicate: (message) => message.type === "abort_message_response" },
  );
  log.push("aborted " + raw.aborted);
  await client.conversationList({ query: {} });

  const payload = { kind: "create_message", messages: [{ role: "user", content: "Weather?" }] };
  const accepted = await client.submitInput({ runtime, payload });
  log.push("accepted " + accepted.accepted);
  await new Promise((resolve) => {
    const done = client.onMessage((message) => {
      if (message.type === "turn_finished") { done(); resolve(); }
    });
  });
  const turn = await client.runTurn({ runtime, payload }, { timeoutMs: 5000, allowLoopStatusFallback: true });
  log.push([turn.stopReason, turn.completedBy, turn.runIds.length, turn.clientMessageIds.length].join(" "));
  log.push(String(turn.runtime.agent_id) + " " + turn.terminalMessage?.type);
  offTools();
  off();
  client.close();
  log.push(resolveAppServerUrl("http://127.0.0.1:1"), resolveAppServerChannelUrl("ws://h:1", "control"));
  console.log(JSON.stringify(log));
}

main(process.argv[process.argv.length - 1]);
`;

const names = [
  "createAppServerClient",
  "isAppServerInfoResponseMessage",
  "resolveAppServerUrl",
  "resolveAppServerChannelUrl",
].join(", ");

it.each([
  ["module", `import { ${names} } from "@letta/app-client-native";`],
  ["commonjs", `const { ${names} } = require("@letta/app-client-native");`],
])("runs a program written for the documented client (%s)", async (type, line) => {
  const call = { name: "weather", input: { city: "Rome" }, needsApproval: true };
  const mock = await MockServer.start({
    token: "secret",
    turns: [{ text: "sunny", toolCalls: [call] }],
  });
  const cwd = new URL("..", import.meta.url);
  const args = [`--input-type=${type}`, "-e", program(line), mock.url];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd });
  await mock.close();
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual([
    ...["app_server_info", "runtime_start", "sync", "conversation_list", "abort_message"].map(
      (name) => `sent ${name}`,
    ),
    "aborted false",
    "sent conversation_list",
    "sent input",
    "accepted true",
    "sent input",
    "sent external_tool_call_response",
    "finished end_turn",
    "sent input",
    "sent input",
    "requires_approval loop_status_waiting_on_approval 1 1",
    "agent-123 control_request",
    "ws://127.0.0.1:1/ws",
    "ws://h:1/ws",
  ]);
});
