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
 * Handles one delivery; `true` when it settled a call. `place` is that of a frame's type in
 * `messageTypes()`, or -1.
 */
export type Deliver = (kind: number, value: number, text: string, place: number) => boolean;

/**
 * Hands out deliveries. After one that settles a call, the rest waits until the code that awaited
 * the call has run: a handler it registers then misses nothing that came after its answer. What comes
 * meanwhile waits in the engine, which has limits.
 */
export class Deliveries {
  readonly #fetch: () => Drained;
  readonly #deliver: Deliver;
  readonly #idle: () => void;
  #batch: Drained = { kinds: [], values: [], texts: [], types: [] };
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
    this.#rung = true;
    if (!this.#paused) this.#run();
  }

  #run(): void {
    while (this.#next < this.#batch.kinds.length || this.#rung) {
      if (this.#next >= this.#batch.kinds.length) {
        this.#rung = false;
        this.#batch = this.#fetch();
        this.#next = 0;
        continue;
      }
      const { kinds, values, texts, types } = this.#batch;
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
    this.#batch = { kinds: [], values: [], texts: [], types: [] };
    this.#next = 0;
    this.#idle();
  }
}
