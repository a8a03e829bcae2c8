/**
 * Connects and closes so often, then runs so many turns: `node --expose-gc cycles.mjs URL TIMES`. Prints
 * what the process holds at the beginning, half-way and at the end of each, as JSON.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../bindings-node/dist/esm/index.js";

const [url, times] = process.argv.slice(2);
const payload = { kind: "create_message", messages: [{ role: "user", content: "?" }] };

const threads = () => readdirSync("/proc/self/task").length;
// The one that lists the folder is among them, every time.
const descriptors = () => readdirSync("/proc/self/fd").length;

/** KiB that are resident. */
async function memory() {
  for (let time = 0; time < 3; time += 1) {
    globalThis.gc();
    // What finalizers have to do comes after the collection.
    await sleep(1);
  }
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
}

async function measured(one) {
  // What the package keeps for the life of the process comes with the first.
  await one();
  const before = [threads(), descriptors()];
  const resident = [await memory()];
  for (let half = 0; half < 2; half += 1) {
    for (let time = 0; time < Math.floor(Number(times) / 2); time += 1) await one();
    resident.push(await memory());
  }
  // The socket is closed by a thread of the package, which may need a moment more.
  const patience = performance.now() + 5000;
  let after = [threads(), descriptors()];
  while (String(after) !== String(before) && performance.now() < patience) {
    await sleep(10);
    after = [threads(), descriptors()];
  }
  return {
    threads: [before[0], after[0]],
    descriptors: [before[1], after[1]],
    memory: resident,
  };
}

const connections = await measured(async () => {
  const client = await connect(url);
  client.onMessage(() => {});
  await client.runtimeStart({ agent_id: "a", mode: "standard" });
  await client.close();
});

const client = await connect({ url, settlePauseMs: 0 });
const { runtime } = await client.runtimeStart({ agent_id: "a", mode: "standard" });
const turns = await measured(async () => {
  const turn = client.sendTurn({ runtime, payload });
  let events = 0;
  for await (const _ of turn) events += 1;
  assert(events > 20);
  assert.equal((await turn).status, "completed");
});
await client.close();
console.log(JSON.stringify({ connections, turns }));
