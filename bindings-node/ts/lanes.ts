/** Work that has to wait for other work of the same kind. */

import { AbortError } from "./errors.js";
import { onAbort } from "./signals.js";

/** One piece of work at a time for each key, in the order of asking. */
export class Lanes {
  /** When the last piece of work of each key is over. */
  readonly #last = new Map<string, Promise<void>>();

  /**
   * Does the work when all that was asked for before with the same key is over, whatever became of it.
   * Resolves and rejects as the work does. Rejects with {@link AbortError}, without doing it, when the
   * signal is aborted before its time has come.
   */
  async run<T>(key: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const running = unlessAborted(before, signal).then(work);
    // Whoever gives up waiting must not let the next one pass what still runs.
    const over = Promise.allSettled([before, running]).then(() => {
      if (this.#last.get(key) === over) this.#last.delete(key);
    });
    this.#last.set(key, over);
    return running;
  }
}

/** Resolves with a promise; rejects with {@link AbortError} when the signal comes first. */
function unlessAborted(before: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return before;
  if (signal.aborted) return Promise.reject(new AbortError(signal.reason));
  return new Promise((resolve, reject) => {
    const off = onAbort(signal, () => reject(new AbortError(signal.reason)));
    before.then(() => {
      off();
      resolve();
    });
  });
}
