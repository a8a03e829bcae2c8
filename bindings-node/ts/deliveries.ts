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
  State: 14,
  RestoreFailed: 15,
} as const;

/**
 * Handles one delivery. `place` is that of a frame's type in `messageTypes()`, or -1.
 */
export type Deliver = (kind: number, value: number, text: string, place: number) => unknown;

const NOTHING: Drained = { kinds: [], values: [], texts: [], types: [], more: false };

/**
 * Hands out deliveries. What the engine gives at once ends behind those that settle calls; the rest waits
 * there, within limits, until the code that awaited the calls has run: a handler it registers then misses
 * nothing that came after its answer.
 */
export class Deliveries {
  readonly #fetch: () => Drained;
  readonly #deliver: Deliver;
  readonly #idle: () => void;
  #batch = NOTHING;
  #next = 0;
  #rung = false;
  #paused = false;

  constructor(fetch: () => Drained, deliver: Deliver, idle: () => void) {
    this.#fetch = fetch;
    this.#deliver = deliver;
    this.#idle = idle;
  }

  /** There is something to fetch. */
  ring(): void {
    if (this.#paused) return;
    this.#rung = true;
    this.#run();
  }

  #run(): void {
    while (this.#next < this.#batch.kinds.length || this.#rung) {
      if (this.#next >= this.#batch.kinds.length) {
        this.#rung = false;
        this.#batch = this.#fetch();
        this.#next = 0;
        if (this.#batch.more) this.#later();
        continue;
      }
      const { kinds, values, texts, types } = this.#batch;
      const at = this.#next++;
      this.#deliver(kinds[at] ?? -1, values[at] ?? 0, texts[at] ?? "", types[at] ?? -1);
      // A handler may have made a call that ran this to the end.
      if (this.#paused && this.#next >= this.#batch.kinds.length) break;
    }
    if (this.#next < this.#batch.kinds.length) return;
    this.#batch = NOTHING;
    this.#next = 0;
    this.#idle();
  }

  /** The code that awaited the calls of this batch runs before the next one. */
  #later(): void {
    this.#paused = true;
    setImmediate(() => {
      this.#paused = false;
      this.#rung = true;
      this.#run();
    });
  }
}
