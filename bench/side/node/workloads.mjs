/** The workloads over what each client offers; see `workloads.py`. */

import assert from "node:assert";
import { statusKib, Usage } from "./usage.mjs";

/** Runs a function for each item, so many at a time. */
async function limited(items, most, run) {
  const results = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await run(items[index]);
    }
  };
  await Promise.all(Array.from({ length: most }, worker));
  return results;
}

const started = (client, count) =>
  limited([...Array(count).keys()], 64, (number) => client.start(`c-${number}`));

/**
 * A client has `start(conversation)`, `stream(runtime, onText)`, `turn(runtime)` (gives the text),
 * `outputs(runtime, onOutput)`, `list()` and `close()`.
 */
export const workloads = {
  async stream(client, sizes) {
    let seen = 0;
    let characters = 0;
    const onText = (text) => {
      seen += 1;
      characters += text.length;
    };
    const [runtime] = await started(client, 1);
    await client.stream(runtime, onText);
    const usage = new Usage();
    const before = seen;
    for (let turn = 0; turn < sizes.turns; turn++) await client.stream(runtime, onText);
    usage.report(seen - before);
    assert.equal(seen, sizes.deltas * (sizes.turns + 1));
    assert(characters > seen);
  },

  async turns(client, sizes) {
    const runtimes = await started(client, sizes.runtimes);
    await Promise.all(runtimes.slice(0, 64).map((runtime) => client.turn(runtime)));
    const usage = new Usage();
    await Promise.all(
      runtimes.map(async (runtime) => {
        for (let turn = 0; turn < sizes.turns; turn++) assert(await client.turn(runtime));
      }),
    );
    usage.report(sizes.turns * runtimes.length);
  },

  async requests(client, sizes) {
    let times = [];
    const worker = async (count) => {
      for (let number = 0; number < count; number++) {
        const start = performance.now();
        await client.list();
        times.push((performance.now() - start) * 1e3);
      }
    };
    await worker(500);
    const each = Math.floor(sizes.count / sizes.outstanding);
    times = [];
    const usage = new Usage();
    await Promise.all(Array.from({ length: sizes.outstanding }, () => worker(each)));
    usage.report(times.length, times);
  },

  async outputs(client, sizes) {
    let seen = 0;
    const onOutput = (text) => {
      seen += text.length > 1000 ? 1 : 0;
    };
    const [runtime] = await started(client, 1);
    await client.outputs(runtime, onOutput);
    const usage = new Usage();
    const before = seen;
    for (let turn = 0; turn < sizes.turns; turn++) await client.outputs(runtime, onOutput);
    usage.report(seen - before);
    assert.equal(seen - before, sizes.turns * sizes.outputs);
  },
};

/** The memory of connections that do nothing. */
export async function idle(connect, sizes) {
  const held = [];
  const open = async (count) => {
    for (let number = 0; number < count; number++) held.push(await connect());
  };
  await open(10);
  globalThis.gc();
  const before = statusKib("VmRSS:");
  const usage = new Usage();
  await open(sizes.connections);
  for (const client of held) await client.list();
  globalThis.gc();
  usage.report(sizes.connections, [(statusKib("VmRSS:") - before) / sizes.connections]);
  process.exit(0);
}
