// A time limit: the turn is stopped on the server, and what it had said by then is shown.
import { connect, TurnTimeout } from "@letta/app-client-native";

const url = process.env.LETTA_URL ?? "ws://127.0.0.1:4500";
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";
const createAgent = { body: { name: "helper", model }, pin_global: false };
const seconds = Number(process.env.SECONDS ?? 10);

await using client = await connect(url);
await using session = await client.session({ createAgent });
try {
  const { text } = await session.run("Tell a very long story.", { timeoutMs: seconds * 1000 });
  console.log(text);
} catch (error) {
  if (!(error instanceof TurnTimeout)) throw error;
  console.log(`[stopped after ${seconds} s]`);
  // What is known of the turn: its text, its tool calls, what it has used.
  console.log(error.result?.text);
  console.log(`[${error.result?.toolCalls.length} tool calls]`);
}
