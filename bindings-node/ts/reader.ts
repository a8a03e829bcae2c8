/// <reference lib="esnext.disposable" preserve="true" />
/** What users read from. */

import type { Inbox } from "./inbox.js";
import type { Reading } from "./reading.js";

/**
 * Items that come over time, for one `for await` loop or for `next()`. From the moment it was made
 * nothing is missed, up to a bound, behind which the oldest items go and are counted, or the reader rejects with
 * {@link Lagged} where it was asked to. Leaving the loop, `return()` and the end of an `await using` block end it. A
 * reader that waits keeps the process alive.
 *
 * It ends with the client's `close()`, and rejects with {@link Disconnected} when the connection is lost and
 * not opened again, after what had come before. So does one that would wait after that, unless the program has
 * called `connect()` and the attempt has not failed. So does one that waits when the first `connect()` fails; before
 * that it waits for it, however long the program takes to call it. An aborted `signal` rejects with {@link AbortError} at once,
 * one that was aborted before at the first step.
 */
export abstract class Reader<T> implements Reading<T> {
  readonly #inbox: Inbox<T>;

  /** @internal */
  constructor(inbox: Inbox<T>) {
    this.#inbox = inbox;
  }

  /** How many items were dropped, because this was not read, or the thread was busy, for too long. */
  get dropped(): number {
    return this.#inbox.dropped;
  }

  /** The next item; `done` when none comes any more. */
  next(): Promise<IteratorResult<T, undefined>> {
    return this.#inbox.next();
  }

  /** Ends it: what waits is forgotten. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.#inbox.leave();
    return { done: true, value: undefined };
  }

  /** The same, and rejects with the error. */
  async throw(error?: unknown): Promise<IteratorResult<T, undefined>> {
    this.#inbox.leave();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The same as `return()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#inbox.leave();
  }
}
