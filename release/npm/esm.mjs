import { connect } from "@letta/app-client-native";
import { MockServer } from "@letta/app-client-native/testing";

const mock = await MockServer.start([{ text: ["4", "2"] }]);
const client = await connect(mock.url);
const session = await client.session({ agentId: "agent-1" });
const { text } = await session.run("What is six times seven?");
await client.close();
await mock.close();
if (text !== "42") throw new Error(`the turn gave ${text}`);
const runtime = ["bun", "deno", "node"].find((name) => process.versions[name]);
console.log("import:", runtime, process.versions[runtime]);
