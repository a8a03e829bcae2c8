// A turn on the terminal while it runs: the text as it comes, and the tools that are called.
import { connect } from "@letta/app-client-native";

const url = process.env.LETTA_URL ?? "ws://127.0.0.1:4500";
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";
const createAgent = { body: { name: "helper", model }, pin_global: false };

await using client = await connect(url);
await using session = await client.session({ createAgent });
for await (const event of session.stream("How many files are in this folder?")) {
  switch (event.type) {
    case "assistant_delta":
      process.stdout.write(event.text);
      break;
    case "tool_call_start":
      console.log(`[${event.name} is called]`);
      break;
    case "tool_call_end":
      console.log(`[${event.status}: ${event.output.trim()}]`);
      break;
    case "finished": {
      const { status, usage } = event.result;
      console.log(`\n[${status}, ${usage.completionTokens} tokens]`);
      break;
    }
    default: // queueing, reasoning, retries and more
  }
}
