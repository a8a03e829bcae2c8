// Permissions: what the agent may do is asked on the terminal, one y or n each time.
import { createInterface } from "node:readline";
import { type ApprovalHandler, allow, connect, deny } from "@letta/app-client-native";

const url = process.env.LETTA_URL ?? "ws://127.0.0.1:4500";
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";
const createAgent = { body: { name: "helper", model }, pin_global: false };

const input = createInterface({ input: process.stdin });
const lines = input[Symbol.asyncIterator]();

const onApproval: ApprovalHandler = async ({ toolName, input }) => {
  process.stdout.write(`${toolName} ${JSON.stringify(input)}? [y/n] `);
  const { value } = await lines.next(); // undefined at the end of the input: nobody answers
  return /^y(es)?$/i.test(value?.trim() ?? "") ? allow() : deny("the user denied it");
};

await using client = await connect(url);
await using session = await client.session({ createAgent, onApproval });
const { text, toolCalls } = await session.run("Tidy up this folder.");
for (const { name, status } of toolCalls) console.log(`${name}: ${status}`);
console.log(text);
input.close();
