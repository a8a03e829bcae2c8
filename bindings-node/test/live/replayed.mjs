/** Plays a recording: prints the engine's events, and what a program that is played with it sees, as JSON. */

import { allow, connect, replay } from "../../dist/esm/index.js";

const [, , file, agent, prompt, model, cwd] = process.argv;

const client = await connect(replay(file));
const session = await client.session({
  createAgent: { body: { name: agent, model }, pin_global: false },
  cwd,
  onApproval: () => allow(),
});
const { text, runIds, usage, stopReason, toolCalls } = await session.run(prompt);
await client.close();
const calls = toolCalls.map((call) => [call.name, call.status, call.output]);
const seen = [text, runIds, usage.totalTokens, stopReason, calls];
console.log(JSON.stringify({ events: replay(file).events(), seen }));
