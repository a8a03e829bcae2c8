// One question to a new agent, and its answer.
import { connect } from "@letta/app-client-native";

const url = process.env.LETTA_URL ?? "ws://127.0.0.1:4500";
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";
const createAgent = { body: { name: "helper", model }, pin_global: false };

await using client = await connect(url);
await using session = await client.session({ createAgent });
const { text, stopReason, usage } = await session.run("Which planet is the largest?");
console.log(text);
console.log(`[${stopReason}, ${usage.totalTokens} tokens]`);
