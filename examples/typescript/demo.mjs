// Three turns through a real server: streamed text, a tool that runs in this program, and a command
// on the server that asks for a permission.
import { allow, connect } from "@letta/app-client-native";

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

// The tool: it runs here, not on the server.
client.onExternalToolCall((call) => {
  console.log(`[tool ${call.tool_name} called with ${JSON.stringify(call.input)}]`);
  return { content: [{ type: "text", text: "sunny, 21 degrees" }] };
});

const started = await client.runtimeStart({
  create_agent: { body: { name: "demo", model }, pin_global: false },
  create_conversation: { body: {} },
  mode: "standard",
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

// In the mode "standard" tools ask. Nobody watches this program, so it says yes.
function onApproval(request) {
  console.log(`[${request.toolName} may run: ${JSON.stringify(request.input)}]`);
  return allow();
}

// Print the answer while it streams. The scripted model of the demo obeys words in the text: eight
// tokens, slowly.
const turn = client.sendTurn({ runtime, payload: ask("Hello! N=8 SLEEP=60") });
for await (const text of turn.textStream()) process.stdout.write(text);
report(await turn);

// Only the result of a turn with a tool.
const call = `TOOL=weather|${encodeURIComponent('{"city": "Lisbon"}')}`;
report(await client.runTurn({ runtime, payload: ask(`${call} N=4`) }, { onApproval }));

// Everything that happens in a turn.
const command = { command: "echo hello | tee demo.txt", description: "Writes a file" };
const bash = `TOOL=Bash|${encodeURIComponent(JSON.stringify(command))}`;
for await (const event of client.sendTurn(
  { runtime, payload: ask(`${bash} N=4 SLEEP=60`) },
  { onApproval },
)) {
  if (event.type === "assistant_delta") process.stdout.write(event.text);
  else if (event.type === "tool_call_start") console.log(`[${event.name} is called]`);
  else if (event.type === "tool_call_end") console.log(`[it returned ${event.output.trim()}]`);
  else if (event.type === "finished") report(event.result);
}
await client.close();
