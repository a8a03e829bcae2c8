/** Runs the user's handlers that answer questions of the server: each question once, until it is over. */

import { AbortError } from "./errors.js";

/** What a handler gets besides the question. */
export interface HandlerOptions {
  /**
   * Aborted when nobody needs the answer any more: the turn was stopped, the time is over, the
   * connection has ended. The reason is an {@link AbortError} whose `cause` says why, in words.
   */
  signal: AbortSignal;
}

/** What is done with what a handler came to. */
export interface Answers {
  /** It returned something. What this throws counts as a failure of the handler. */
  returned(value: unknown): void;
  /** It threw something. */
  failed(error: unknown): void;
}

/** A question that handlers work on. */
interface Open {
  readonly abort: AbortController;
  /** How many handlers are at work. */
  handlers: number;
  /** It was answered, or is over. */
  settled: boolean;
}

/** The questions of one kind that handlers work on, by what names them. */
export class RunningHandlers<Key> {
  #open: Map<Key, Open> | undefined;
  readonly #changed: () => void;

  /** `changed` is called when `size` has changed. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** How many questions there are. */
  get size(): number {
    return this.#open?.size ?? 0;
  }

  /**
   * Runs one handler; of several for the same question the first answer counts. What a handler comes
   * to after its question is over concerns nobody, failures included. Never rejects.
   */
  async run(
    key: Key,
    handler: (options: HandlerOptions) => unknown,
    answers: Answers,
  ): Promise<void> {
    const open = this.#enter(key);
    try {
      const value = await handler({ signal: open.abort.signal });
      if (open.settled) return;
      answers.returned(value);
      open.settled = true;
    } catch (error) {
      if (open.settled) return;
      open.settled = true;
      answers.failed(error);
    } finally {
      open.handlers -= 1;
      if (open.handlers === 0) this.#leave(key, open);
    }
  }

  /** Nobody needs the answer any more. */
  over(key: Key, reason: string): void {
    const open = this.#open?.get(key);
    if (!open) return;
    open.settled = true;
    this.#leave(key, open);
    open.abort.abort(new AbortError(reason));
  }

  #enter(key: Key): Open {
    this.#open ??= new Map();
    const open = this.#open.get(key) ?? {
      abort: new AbortController(),
      handlers: 0,
      settled: false,
    };
    open.handlers += 1;
    if (open.handlers === 1) {
      this.#open.set(key, open);
      this.#changed();
    }
    return open;
  }

  #leave(key: Key, open: Open): void {
    if (this.#open?.get(key) !== open) return;
    this.#open.delete(key);
    this.#changed();
  }
}
