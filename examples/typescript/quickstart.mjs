// One turn: start a runtime, ask, print the answer.
import { connect } from "@letta/app-client-native";

const url = process.env.LETTA_URL ?? "ws://127.0.0.1:4500";
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";

const client = await connect(url);
const started = await client.runtimeStart({
  create_agent: { body: { name: "helper", model }, pin_global: false },
  create_conversation: { body: {} },
  mode: "standard",
});
if (!started.runtime) throw new Error(started.error ?? "no runtime");

const result = await client.runTurn({
  runtime: started.runtime,
  payload: {
    kind: "create_message",
    messages: [{ role: "user", content: "Summarize the tests. N=3" }],
  },
});
console.log(result.stopReason, JSON.stringify(result.text), result.usage.totalTokens);
await client.close();
