/** What a client in Node saw, and the stall. */

import { createHash } from "node:crypto";

/** Blocks the event loop, as a long computation does. Returns for how many seconds. */
export function stall(seconds) {
  const begin = performance.now();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds * 1000);
  return (performance.now() - begin) / 1000;
}

/** Printed at the end, as one line of JSON. */
export class Report {
  begin = performance.now();
  stalled = 0;
  deltas = 0;
  closed = null;
  #text = createHash("sha256");

  delta(text) {
    this.deltas += 1;
    this.#text.update(text);
  }

  lost(code, reason) {
    this.closed = { code, reason, after: (performance.now() - this.begin) / 1000 };
  }

  print() {
    const { stalled, closed, deltas } = this;
    console.log(JSON.stringify({ stalled, closed, deltas, sha256: this.#text.digest("hex") }));
  }
}
