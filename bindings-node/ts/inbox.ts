/** Items on their way to one reader, within bounds. */

import { Backlog, type BacklogOptions, type Judge, missesNothing } from "./backlog.js";
import { AbortError, ClientClosed, Lagged } from "./errors.js";
import type { Caller } from "./family.js";
import type { MessageFilter } from "./filters.js";
import { checkedSignal } from "./options.js";
import { hold, letGo } from "./pending.js";
import type { WsProtocolMessage } from "./protocol.js";
import { onAbort } from "./signals.js";

/** How an inbox behaves. */
export interface InboxOptions<T> extends BacklogOptions, Judge<T> {
  /** Rejects the reader with {@link AbortError}. */
  signal?: AbortSignal | null | undefined;
  /** Whether it ends with any connection, because what it is for does. */
  ofConnection?: boolean | undefined;
  /** Why nothing comes any more, asked before the reader waits. */
  gone?: (() => Error | undefined) | undefined;
  /** The reader has left, or nothing comes any more: once. */
  left?: (() => void) | undefined;
  /** The first item was dropped. */
  dropping?: (() => void) | undefined;
}

/**
 * A queue with one reader; see {@link Backlog} for what happens when it is full. A reader that waits
 * keeps the process alive. Not a generator: that could be left only once its next item has come.
 */
export class Inbox<T> {
  readonly #options: InboxOptions<T>;
  readonly #backlog: Backlog<T>;
  readonly #detach: () => void;
  #over = false;
  #error: unknown;
  #readers: (() => void)[] = [];

  /** @throws {@link InvalidOption} for a limit or a signal that is none. One that is aborted is told to the reader. */
  constructor(options: InboxOptions<T>) {
    this.#options = options;
    this.#backlog = new Backlog(options, options);
    const signal = checkedSignal(options.signal);
    this.#detach = () => {};
    if (signal?.aborted) {
      this.#over = true;
      this.#error = new AbortError(signal.reason);
    } else if (signal) {
      this.#detach = onAbort(signal, () => this.leave(new AbortError(signal.reason)));
    }
  }

  /** How many items were dropped, because the reader did not keep up. */
  get dropped(): number {
    return this.#backlog.dropped;
  }

  /** Whether nothing is added any more. */
  get over(): boolean {
    return this.#over;
  }

  push(item: T): void {
    if (this.#over) return;
    const before = this.dropped;
    this.#backlog.push(item);
    this.#told(before);
  }

  /** Counts items that were lost on their way here. */
  lost(count: number): void {
    const before = this.dropped;
    this.#backlog.lost(count);
    this.#told(before);
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
    for (;;) {
      const entry = this.#backlog.take();
      if (entry) return { done: false, value: entry.item };
      if (!this.#over && this.#backlog.burst) this.leave(this.#lagged());
      const gone = this.#over ? undefined : this.#options.gone?.();
      if (gone) this.end(gone);
      if (this.#over) break;
      await this.#changed();
    }
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) throw error;
    return { done: true, value: undefined };
  }

  /** Lets whoever waits look whether to go on. */
  look(): void {
    this.#wake();
  }

  /** Leaves: what waits is forgotten, and nothing more comes. */
  leave(error?: unknown): void {
    this.#backlog.clear();
    if (this.#over) this.#error = undefined;
    this.end(error);
  }

  /** Items may have been lost, or may be there. */
  #told(before: number): void {
    if (before === 0 && this.dropped > 0) this.#options.dropping?.();
    this.#wake();
  }

  #lagged(): Lagged {
    const droppedCount = this.dropped;
    return new Lagged(`a reader did not keep up: ${droppedCount} messages are missing`, {
      hint: "read faster, allow more to wait, or let the oldest be dropped",
      droppedCount,
    });
  }

  #changed(): Promise<void> {
    hold();
    return new Promise<void>((resolve) => this.#readers.push(resolve)).finally(letGo);
  }

  #wake(): void {
    const readers = this.#readers;
    this.#readers = [];
    for (const resolve of readers) resolve();
  }
}

/**
 * An inbox that is filled from the frames that pass a filter, until it is left or they end. That of a closed client
 * rejects with {@link ClientClosed}.
 */
export function followed<T>(
  caller: Pick<Caller, "follow" | "gone">,
  filter: MessageFilter,
  options: InboxOptions<T>,
  receive: (message: WsProtocolMessage, inbox: Inbox<T>) => void,
): Inbox<T> {
  let off = () => {};
  const left = () => {
    off();
    options.left?.();
  };
  const inbox = new Inbox<T>({ ...options, left, gone: () => caller.gone() });
  try {
    off = caller.follow(filter, {
      ofConnection: options.ofConnection,
      receive: (message) => receive(message, inbox),
      lagged: (count) => {
        if (!missesNothing(filter)) inbox.lost(count);
      },
      look: () => inbox.look(),
      end: (error) => inbox.end(error),
    });
  } catch (error) {
    if (!(error instanceof ClientClosed)) {
      inbox.leave();
      throw error;
    }
    // Whoever reads is told of a closed client where it is told of all that goes wrong: at the first step.
    if (!inbox.over) inbox.leave(error);
    return inbox;
  }
  // Its signal was aborted before.
  if (inbox.over) off();
  return inbox;
}
