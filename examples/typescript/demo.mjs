// Two turns through a real server: streamed text, then a tool that runs in this program.
import { connect } from "@letta/app-client-native";

const url = process.env.LETTA_URL ?? "ws://127.0.0.1:4500";
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";

const ask = (text) => ({ kind: "create_message", messages: [{ role: "user", content: text }] });

function report(result) {
  console.log(`\nstop reason: ${result.stopReason}, tool calls: ${result.toolCalls.length}`);
  const { promptTokens, completionTokens } = result.usage;
  const seconds = (result.durationMs / 1000).toFixed(2);
  console.log(`usage: ${promptTokens} + ${completionTokens} tokens, ${seconds} s`);
}

const client = await connect(url);
console.log("Node, server version", client.serverInfo?.letta_code_version ?? "unknown");

// Print the answer while it streams.
client.onMessage((message) => {
  if (message.type === "stream_delta" && message.delta.message_type === "assistant_message") {
    for (const part of message.delta.content) process.stdout.write(part.text);
  }
});

// The tool: it runs here, not on the server.
client.onExternalToolCall((call) => {
  console.log(`[tool ${call.tool_name} called with ${JSON.stringify(call.input)}]`);
  return { content: [{ type: "text", text: "sunny, 21 degrees" }] };
});

const started = await client.runtimeStart({
  create_agent: { body: { name: "demo", model }, pin_global: false },
  create_conversation: { body: {} },
  // No person watches this program, so nothing asks for permission.
  mode: "unrestricted",
  external_tools: [
    {
      tools: [
        {
          name: "weather",
          description: "The weather in a city",
          parameters: { type: "object", properties: { city: { type: "string" } } },
        },
      ],
    },
  ],
});
if (!started.runtime) throw new Error(started.error ?? "no runtime");
const runtime = started.runtime;

// The scripted model of the demo obeys words in the text: eight tokens, slowly.
report(await client.runTurn({ runtime, payload: ask("Hello! N=8 SLEEP=60") }));
const call = `TOOL=weather|${encodeURIComponent('{"city": "Lisbon"}')}`;
report(await client.runTurn({ runtime, payload: ask(`${call} N=4`) }));
await client.close();
