/**
 * Readers that take one item per millisecond of a flood, beside a fast one:
 * `node --expose-gc slow.mjs URL DELTAS`. Prints what each of them got, merged and missed, and by how much
 * the process grew, as JSON.
 */

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "../../bindings-node/dist/esm/index.js";

const [url, deltas] = process.argv.slice(2);
/** How long may be read what waits at the end of the flood. */
const PATIENCE_MS = 30_000;

/** KiB that are resident when garbage is collected, which Node otherwise puts off while there is room. */
function memory() {
  globalThis.gc();
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
}

const client = await connect(url);
const { runtime } = await client.runtimeStart({ agent_id: "a", mode: "standard" });
const begin = performance.now();
const before = memory();
let most = before;
const looking = setInterval(() => {
  most = Math.max(most, memory());
}, 500);
let over = false;
/** Deltas of all kinds; known once the fast reader is done. */
let sent = Number.POSITIVE_INFINITY;

const all = client.messages();
const few = client.messages({ types: ["stream_delta"], limit: 10_000 });
const ends = client.messages({ types: ["turn_finished"], limit: 1 });
const messages = [{ role: "user", content: "?" }];
const turn = client.sendTurn({ runtime, payload: { kind: "create_message", messages } });

const pause = () => (over ? undefined : sleep(1));

/** Everything, as it comes. */
async function fast() {
  let count = 0;
  for await (const message of all) {
    if (message.type === "stream_delta") count += 1;
    if (message.type === "turn_finished") break;
  }
  sent = count;
  over = true;
  return [count, count, 0, all.dropped];
}

async function slowTurn() {
  let [given, merged, dropped] = [0, 0, 0];
  for await (const event of turn) {
    if (event.type === "assistant_delta") given += 1;
    if (event.type === "lagged") {
      merged += event.merged;
      dropped += event.dropped;
    }
    await pause();
  }
  return [Number(deltas), given, merged, dropped];
}

async function slowFrames() {
  let given = 0;
  for await (const _ of few) {
    given += 1;
    await pause();
    // What waits is all that comes, once the flood is over.
    if (over && given + few.dropped >= sent) break;
  }
  return [sent, given, 0, few.dropped];
}

const readers = [slowTurn(), slowFrames()];
const quick = await fast();
const seconds = (performance.now() - begin) / 1000;
const watchdog = setTimeout(() => {
  throw new Error("what waited was not read");
}, PATIENCE_MS);
const [followed, frames] = await Promise.all(readers);
const end = await ends.next();
const result = await turn;
clearTimeout(watchdog);
clearInterval(looking);
most = Math.max(most, memory());
await client.close();
const finished = end.value?.type === "turn_finished" && result.status === "completed";
console.log(
  JSON.stringify({
    seconds,
    memory: [before, most],
    readers: { turn: followed, frames, fast: quick },
    finished,
    bytes: result.text.length,
  }),
);
