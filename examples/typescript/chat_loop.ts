// A chat: every line of the standard input is a question; the end of the input ends it.
import { createInterface } from "node:readline";
import { connect } from "@letta/app-client-native";

const url = process.env.LETTA_URL ?? "ws://127.0.0.1:4500";
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";
const createAgent = { body: { name: "helper", model }, pin_global: false };

await using client = await connect(url);
await using session = await client.session({ createAgent });
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === "") continue;
  const turn = session.send(line.trim());
  for await (const text of turn.textStream()) process.stdout.write(text);
  const { status, error } = await turn;
  // After a failure the conversation can go on all the same.
  console.log(status === "completed" ? "" : `\n[${status}: ${error}]`);
}
console.log(`[${session.usage.totalTokens} tokens in all]`);
