/** The surface of the documented TypeScript client, as a program uses it. */

import { createAppServerClient } from "@letta/app-client-native";

const client = await createAppServerClient({ url: String(process.env.LETTA_URL) }).connect();
const off = client.onMessage((message, channel) => console.log(channel, message.type));

const started = await client.runtimeStart({
  agent_id: "agent-123",
  create_conversation: { body: {} },
  cwd: process.cwd(),
});
if (!started.success || !started.runtime) throw new Error(started.error ?? "failed");

const result = await client.runTurn(
  {
    runtime: started.runtime,
    payload: { kind: "create_message", messages: [{ role: "user", content: "Hi" }] },
  },
  { signal: AbortSignal.timeout(600_000), idleTimeoutMs: 120_000 },
);
console.log(result.stopReason, result.text, result.usage.totalTokens);
off();
client.close();
