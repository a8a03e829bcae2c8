// Permissions: rules decide what the agent may do, and a record is kept.
import { audit, connect, policy } from "@letta/app-client-native";

const url = process.env.LETTA_URL ?? "ws://127.0.0.1:4500";
const model = process.env.LETTA_MODEL ?? "lmstudio/echo-1";
const createAgent = { body: { name: "helper", model }, pin_global: false };

const rules = policy.firstMatch(
  policy.allow("Read", "Grep", "Glob"),
  // Anchored at both ends: a command line can hold several commands.
  policy.allow({ tools: ["Bash"], where: { command: /^(pytest|ruff)( [\w./-]+)*$/ } }),
  policy.deny({ tools: ["Bash"], message: "only pytest and ruff may be run" }),
); // what no rule matches is denied
const onApproval = audit(rules);

await using client = await connect(url);
await using session = await client.session({ createAgent, onApproval });
const { text } = await session.run("Run the tests, then push.");
console.log(text);
for (const { toolName, input, decision, error } of onApproval.entries) {
  console.log(`${toolName} ${JSON.stringify(input)}: ${decision?.behavior ?? error}`);
}
