/** What the engine delivers, in the order in which it happened. */

// Not the global ones, which tests replace by fake timers.
import { setImmediate } from "node:timers";
import type { Drained } from "./native.cjs";

/** The kinds of deliveries; the numbers are those of `src/delivery.rs`. */
export const Kind = {
  Message: 0,
  Sent: 1,
  Done: 2,
  Response: 3,
  Candidate: 4,
  Turn: 5,
  Failed: 6,
  ToolCall: 7,
  Disconnected: 8,
  Lagged: 9,
  ToolOver: 10,
  Approval: 11,
  ApprovalOver: 12,
  TurnReady: 13,
} as const;

/**
 * Handles one delivery; `true` when it settled a call. `place` is that of a frame's type in
 * `messageTypes()`, or -1.
 */
export type Deliver = (kind: number, value: number, text: string, place: number) => boolean;

/**
 * Hands out deliveries. After one that settles a call, the rest waits until the code that awaited
 * the call has run: a handler it registers then misses nothing that came after its answer.
 */
export class Deliveries {
  readonly #deliver: Deliver;
  readonly #idle: () => void;
  readonly #batches: Drained[] = [];
  #next = 0;
  #paused = false;

  constructor(deliver: Deliver, idle: () => void) {
    this.#deliver = deliver;
    this.#idle = idle;
  }

  add(batch: Drained): void {
    this.#batches.push(batch);
    if (!this.#paused) this.#run();
  }

  #run(): void {
    for (let batch = this.#batches[0]; batch; batch = this.#batches[0]) {
      const { kinds, values, texts, types } = batch;
      while (this.#next < kinds.length) {
        const at = this.#next++;
        const [kind, value, text, place] = [kinds[at], values[at], texts[at], types[at]];
        if (this.#deliver(kind ?? -1, value ?? 0, text ?? "", place ?? -1)) {
          this.#paused = true;
          setImmediate(() => {
            this.#paused = false;
            this.#run();
          });
          return;
        }
      }
      this.#batches.shift();
      this.#next = 0;
    }
    this.#idle();
  }
}
