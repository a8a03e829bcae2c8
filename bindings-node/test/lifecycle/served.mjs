/**
 * A program that sends an input and never closes its client: `served.mjs URL WAY`. It prints
 * `served` once it has done for the turn what it is there for.
 */

import { connect } from "@letta/app-client-native";

const [url, way] = process.argv.slice(2);
const client = await connect({ url, settlePauseMs: way === "after a turn" ? 1_500 : 0 });
const tools = [{ name: "lookup", description: "Looks up", parameters: { type: "object" } }];
const { runtime } = await client.runtimeStart({
  agent_id: "a",
  mode: "unrestricted",
  external_tools: [{ tools }],
});
const payload = { kind: "create_message", messages: [{ role: "user", content: "?" }] };

/** Registers a handler that is there until a message of a type has come. */
const serve = (type) => {
  const off = client.onMessage((message) => {
    if (message.type !== type) return;
    off();
    console.log("served");
  });
};

switch (way) {
  case "unsubscribes early":
    serve("stream_delta");
    client.input({ runtime, payload });
    break;
  case "only runs tools":
    client.onExternalToolCall(() => {
      console.log("served");
      return { content: [{ type: "text", text: "found" }] };
    });
    client.input({ runtime, payload });
    break;
  case "listens afterwards":
    client.input({ runtime, payload });
    serve("turn_finished");
    break;
  case "listens after the acceptance":
    await client.submitInput({ runtime, payload });
    serve("turn_finished");
    break;
  case "after a turn":
    await client.runTurn({ runtime, payload });
    serve("turn_finished");
    client.input({ runtime, payload });
    console.log(`sent ${JSON.stringify(runtime)}`);
    break;
  case "does not listen":
    client.input({ runtime, payload });
    console.log("served");
    break;
  default:
    throw new Error(`unknown way ${way}`);
}
