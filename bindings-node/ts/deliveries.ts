/** What the engine delivers, in the order in which it happened. */

import { setImmediate } from "./timers.js";

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
  ToolRefused: 16,
  Unrecorded: 17,
} as const;

/** More than there are kinds. */
const KINDS = 32;

/** There is more behind these deliveries, for when whoever waited for them has run. */
const MORE = 1;

/** They are a part of what is to be handed out at once. */
const PART = 2;

const NO_NUMBERS: readonly number[] = [];
const NO_TEXTS: readonly string[] = [];

/**
 * Handles one delivery. `place` is that of a frame's type in `messageTypes()`, or -1.
 */
export type Deliver = (kind: number, value: number, text: string, place: number) => unknown;

/**
 * Hands out deliveries. What the engine gives at once ends behind those that settle calls; the rest waits
 * there, within limits, until the code that awaited the calls has run: a handler it registers then misses
 * nothing that came after its answer.
 */
export class Deliveries {
  readonly #fetch: () => string[];
  readonly #deliver: Deliver;
  readonly #idle: () => void;
  /** A code and a value for each delivery, behind the first number, which says what is behind them. */
  #numbers = NO_NUMBERS;
  /** Numbers as text, and then the text of each delivery. */
  #texts = NO_TEXTS;
  /** The place of the next delivery's text. */
  #next = 1;
  #rung = false;
  #paused = false;

  /** `fetch` gives what `drain` does. */
  constructor(fetch: () => string[], deliver: Deliver, idle: () => void) {
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
    while (this.#next < this.#texts.length || this.#rung) {
      if (this.#next >= this.#texts.length) {
        this.#rung = false;
        this.#texts = this.#fetch();
        this.#numbers = JSON.parse(this.#texts[0] ?? "[]");
        this.#next = 1;
        if (this.#numbers[0] === PART) this.#rung = true;
        else if (this.#numbers[0] === MORE) this.#later();
        continue;
      }
      const at = this.#next++;
      const code = this.#numbers[2 * at - 1] ?? 0;
      const value = this.#numbers[2 * at] ?? 0;
      this.#deliver(code % KINDS, value, this.#texts[at] ?? "", Math.floor(code / KINDS) - 1);
      // A handler may have made a call that ran this to the end.
      if (this.#paused && this.#next >= this.#texts.length) break;
    }
    if (this.#next < this.#texts.length) return;
    this.#numbers = NO_NUMBERS;
    this.#texts = NO_TEXTS;
    this.#next = 1;
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
