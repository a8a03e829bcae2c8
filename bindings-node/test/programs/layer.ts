/** The layer that people use: a server of your own, a session with a tool, events, data, text, a handle. */

import { allow, connect, deny, spawnAppServer, TurnAborted, tool } from "@letta/app-client-native";
import { z } from "zod";

await using server = await spawnAppServer();
await using client = await connect(server);

const lookup = tool({
  name: "lookup_user",
  description: "Find a user by email",
  parameters: z.object({ email: z.string() }),
  execute: async ({ email }, { signal }) => ({ id: 7, email, late: signal.aborted }),
});

await using session = await client.session({
  agentId: "agent-123",
  cwd: ".",
  mode: "standard",
  tools: [lookup],
  onApproval: async (req) =>
    req.toolName === "Bash" ? deny("no shell") : allow({ updatedInput: req.input }),
});

const ac = new AbortController();
for await (const event of session.stream("Run the tests", { signal: ac.signal })) {
  switch (event.type) {
    case "assistant_delta":
      process.stdout.write(`${event.text}\n`);
      break;
    case "tool_call_start":
      console.log("->", event.name);
      break;
    case "tool_call_end":
      console.log("<-", event.status, event.output);
      break;
    case "unknown":
      console.warn(event.raw);
      break;
  }
}

const { text, usage, output } = await session.run("Worst bug?", {
  outputSchema: z.object({ file: z.string(), line: z.number() }),
  idleTimeoutMs: 120_000,
});
console.log(text, usage.totalTokens, output.file, output.line + 1);
for await (const chunk of session.textStream("Explain")) process.stdout.write(chunk);
console.log();

// A thenable handle, an async iterable, disposable.
const turn = session.send("Long job");
for await (const event of turn) if (event.type === "assistant_delta") break;
console.log((await turn.abort()).status, turn.status);
try {
  for await (const event of session.stream("Long job", { check: true })) {
    if (event.type === "assistant_delta") await session.abort();
  }
} catch (error) {
  console.log(error instanceof TurnAborted);
}

// Leaving a loop, a signal and disposal stop a turn on the server; a cancelled one keeps the idiom of the DOM.
for await (const chunk of session.textStream("Long job")) {
  console.log(chunk);
  break;
}
const cancelled = session.run("Long job", { signal: ac.signal }).catch((error: Error) => error);
ac.abort("enough");
const error = (await cancelled) as Error;
console.log(error.name, error.cause === ac.signal.reason);
