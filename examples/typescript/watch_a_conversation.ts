// Watching a conversation that somebody else leads: here another client in the same program.
import { type AppServerClient, connect, type RuntimeScope } from "@letta/app-client-native";

const url = process.env.LETTA_URL ?? "ws://127.0.0.1:4500";
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";
const createAgent = { body: { name: "helper", model }, pin_global: false };

async function watch(client: AppServerClient, runtime: RuntimeScope): Promise<void> {
  for await (const { delta } of client.messages({ types: ["stream_delta"], runtime })) {
    if (delta.message_type === "assistant_message") {
      const { content } = delta;
      const parts = typeof content === "string" ? [{ type: "text", text: content }] : content;
      for (const part of parts) if ("text" in part) process.stdout.write(String(part.text));
    }
    if (delta.message_type === "stop_reason" && delta.stop_reason !== "requires_approval") {
      console.log(`\n[${delta.stop_reason}]`);
      return;
    }
  }
}

await using leader = await connect(url);
await using watcher = await connect(url);
await using session = await leader.session({ createAgent });
const { runtime } = session;
const seen = watch(watcher, runtime);
// The server tells a client only of the runtimes that it has asked for.
await watcher.sync({ runtime, recover_approvals: false });
await session.run("Say hello to whoever listens.");
await seen;
