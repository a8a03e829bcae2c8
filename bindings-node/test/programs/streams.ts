/** A turn as a web stream, against a server double of the program's own. */

import { connect } from "@letta/app-client-native";
import { MockServer, script } from "@letta/app-client-native/testing";

await using mock = await MockServer.start([script.turn({ text: "42" })]);
await using client = await connect(mock.url);
const session = await client.session({ agentId: "agent-123" });

const reader = session.stream("?").toReadableStream().getReader();
for (let next = await reader.read(); !next.done; next = await reader.read()) {
  if (next.value.type === "finished") console.log(next.value.result.text);
}
const chunks = session.stream("?").toUIMessageStream().getReader();
for (let next = await chunks.read(); !next.done; next = await chunks.read()) {
  if (next.value.type === "text-delta") console.log(next.value.delta);
}
mock.assertReceived("input", { times: 2 });
await mock.close();
