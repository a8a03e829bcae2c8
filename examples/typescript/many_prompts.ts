// Many questions at once, each in a conversation of its own, a few at a time.
import { connect, map } from "@letta/app-client-native";

const url = process.env.LETTA_URL ?? "ws://127.0.0.1:4500";
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";
const createAgent = { body: { name: "helper", model }, pin_global: false };

const prompts = [1, 2, 3, 4, 5, 6].map((n) => `Describe the number ${n} in one sentence.`);

await using client = await connect(url);
await using first = await client.session({ createAgent });
const { items, usage } = await map(client, prompts, {
  agents: [first.agentId],
  limit: 3,
  timeoutMs: 300_000,
  onProgress: ({ done, total }) => console.error(`${done} of ${total}`),
});
for (const { prompt, result, error } of items) {
  console.log(`${prompt} -> ${error ? `[${error.message}]` : result.text}`);
}
console.log(`[${usage.totalTokens} tokens in all]`);
