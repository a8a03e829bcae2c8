/** Items on their way to one reader, within bounds. */

// Not the global ones, which tests replace by fake timers.
import { clearInterval, setInterval } from "node:timers";
import { describe } from "./describe.js";
import { AbortError, InvalidOption } from "./errors.js";
import type { Caller } from "./family.js";
import type { MessageFilter } from "./filters.js";
import type { WsProtocolMessage } from "./protocol.js";
import { onAbort } from "./signals.js";

/** What waits at most: as much as the engine itself keeps for a thread that is busy. */
const MOST_ITEMS = 65_536;
const MOST_CHARACTERS = 64 * 1024 * 1024;
/** The longest interval there is; its callback does nothing. */
const IDLE_MS = 2 ** 31 - 1;

/** How an inbox behaves. */
export interface InboxOptions<T> {
  /** Rejects the reader with {@link AbortError}. */
  signal?: AbortSignal | undefined;
  /** How many items may wait. */
  limit?: number | undefined;
  /** The characters that an item counts. */
  sizeOf(item: T): number;
  /** The reader has left, or nothing comes any more: once. */
  left?: (() => void) | undefined;
  /** The first item was dropped. */
  dropping?: (() => void) | undefined;
}

/** Checks a limit that a user gave. */
function checkedLimit(limit: number | undefined): number {
  if (limit === undefined) return MOST_ITEMS;
  if (Number.isInteger(limit) && limit > 0) return limit;
  throw new InvalidOption(`limit: expected a whole number above 0, got ${describe(limit)}`);
}

/**
 * A queue with one reader. When it is full the oldest items go, and are counted. A reader that waits
 * keeps the process alive. Not a generator: that could be left only once its next item has come.
 */
export class Inbox<T> {
  readonly #options: InboxOptions<T>;
  readonly #limit: number;
  readonly #detach: () => void;
  #items: (T | undefined)[] = [];
  #first = 0;
  #characters = 0;
  #dropped = 0;
  #over = false;
  #error: unknown;
  #readers: (() => void)[] = [];

  /** @throws {@link InvalidOption} for a limit or a signal that is none, {@link AbortError} for an aborted one. */
  constructor(options: InboxOptions<T>) {
    this.#options = options;
    this.#limit = checkedLimit(options.limit);
    const { signal } = options;
    if (signal !== undefined && typeof signal?.addEventListener !== "function") {
      throw new InvalidOption(`signal: expected an AbortSignal, got ${describe(signal)}`);
    }
    if (signal?.aborted) throw new AbortError(signal.reason);
    this.#detach = signal
      ? onAbort(signal, () => this.leave(new AbortError(signal.reason)))
      : () => {};
  }

  /** How many items were dropped, because the reader did not keep up. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether nothing is added any more. */
  get over(): boolean {
    return this.#over;
  }

  push(item: T): void {
    if (this.#over) return;
    this.#items.push(item);
    this.#characters += this.#options.sizeOf(item);
    while (
      this.#waiting > this.#limit ||
      (this.#characters > MOST_CHARACTERS && this.#waiting > 1)
    ) {
      this.#take();
      this.lost(1);
    }
    this.#wake();
  }

  /** Counts items that were lost on their way here. */
  lost(count: number): void {
    if (this.#dropped === 0 && count > 0) this.#options.dropping?.();
    this.#dropped += count;
  }

  /** Nothing comes any more: the reader gets what waits, then the end or the error. */
  end(error?: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.#detach();
    this.#options.left?.();
    this.#wake();
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    while (this.#waiting === 0 && !this.#over) await this.#changed();
    if (this.#waiting > 0) return { done: false, value: this.#take() };
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) throw error;
    return { done: true, value: undefined };
  }

  /** Leaves: what waits is forgotten, and nothing more comes. */
  leave(error?: unknown): void {
    this.#items = [];
    this.#first = 0;
    this.#characters = 0;
    if (this.#over) this.#error = undefined;
    this.end(error);
  }

  get #waiting(): number {
    return this.#items.length - this.#first;
  }

  #take(): T {
    const item = this.#items[this.#first] as T;
    this.#items[this.#first] = undefined;
    this.#first += 1;
    this.#characters -= this.#options.sizeOf(item);
    // The places of what was taken go now and then, not one by one.
    if (this.#first > 1024 && this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }

  #changed(): Promise<void> {
    const alive = setInterval(() => {}, IDLE_MS);
    return new Promise<void>((resolve) => this.#readers.push(resolve)).finally(() =>
      clearInterval(alive),
    );
  }

  #wake(): void {
    const readers = this.#readers;
    this.#readers = [];
    for (const resolve of readers) resolve();
  }
}

/** An inbox that is filled from the frames that pass a filter, until it is left or they end. */
export function followed<T>(
  follow: Caller["follow"],
  filter: MessageFilter,
  options: InboxOptions<T>,
  receive: (message: WsProtocolMessage, inbox: Inbox<T>) => void,
): Inbox<T> {
  let off = () => {};
  const left = () => {
    off();
    options.left?.();
  };
  const inbox = new Inbox<T>({ ...options, left });
  try {
    off = follow(filter, {
      receive: (message) => receive(message, inbox),
      lagged: (count) => inbox.lost(count),
      end: (error) => inbox.end(error),
    });
  } catch (error) {
    inbox.leave();
    throw error;
  }
  return inbox;
}
