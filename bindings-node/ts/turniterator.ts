/// <reference lib="esnext.disposable" preserve="true" />
/** One reader of a turn. */

import type { EventQueue } from "./eventqueue.js";
import type { TurnEvent } from "./events.js";
import type { Reading } from "./reading.js";
import { traced } from "./stacks.js";
import { Chunks, type UIMessageChunk } from "./uimessages.js";

/** Each event is given once: of two loops each would have a part, in silence. */
const ANOTHER =
  "another loop or stream is already reading the events of this turn; " +
  "for two readers, use tee() on a stream";

/** Gives what a reader wants of an event; `undefined` passes it over. */
export type Pick<T> = (event: TurnEvent) => T | undefined;

/** The turn behind a reader. */
export interface Readable {
  /** The last event, once the turn has ended; `undefined` where there is none. Throws the turn's error. */
  last(): TurnEvent | undefined;
  /** Stops the turn, unless it has ended, and waits for its end. Never rejects. */
  stop(): Promise<void>;
}

/**
 * Not a generator: that would run its clean-up only once the event it waits for has come, and a
 * stream that is cancelled in between would not stop the turn.
 */
export class TurnIterator<T> implements Reading<T> {
  readonly #events: EventQueue;
  readonly #turn: Readable;
  readonly #pick: Pick<T>;
  #done = false;

  constructor(events: EventQueue, turn: Readable, pick: Pick<T>) {
    this.#events = events;
    this.#turn = turn;
    this.#pick = pick;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next item. A piece of text that is there takes no `async` function, which would cost more than the rest. */
  next(): Promise<IteratorResult<T, undefined>> {
    if (!this.#done && !this.#events.claim(this)) return Promise.reject(new TypeError(ANOTHER));
    const event = this.#done ? undefined : this.#events.piece();
    const value = event && this.#pick(event);
    return value === undefined ? this.#later() : Promise.resolve({ done: false, value });
  }

  async #later(): Promise<IteratorResult<T, undefined>> {
    while (!this.#done) {
      const event = this.#events.take() ?? this.#last();
      const value = event && this.#pick(event);
      if (value !== undefined) return { done: false, value };
      if (!event && !this.#done) await this.#events.changed();
    }
    return { done: true, value: undefined };
  }

  #last(): TurnEvent | undefined {
    try {
      return this.#end();
    } catch (error) {
      throw traced(error);
    }
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    if (!this.#done) {
      this.#finish();
      this.#events.wake();
      await this.#turn.stop();
    }
    return { done: true, value: undefined };
  }

  /** The same as `return()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async throw(error?: unknown): Promise<IteratorResult<T, undefined>> {
    await this.return();
    throw error;
  }

  /** The last event, when everything before it was taken. */
  #end(): TurnEvent | undefined {
    if (!this.#events.over) return undefined;
    this.#finish();
    return this.#turn.last();
  }

  /** Whoever reads next may. */
  #finish(): void {
    this.#done = true;
    this.#events.release(this);
  }
}

/** The events of a turn for whoever reads them in a loop, or as a web stream. */
export class TurnEvents extends TurnIterator<TurnEvent> {
  /** @internal */
  constructor(events: EventQueue, turn: Readable) {
    super(events, turn, (event) => event);
  }

  /**
   * The events that were not taken yet, as a web stream; see {@link Turn.toReadableStream}.
   *
   * The stream fails with the error that the loop would throw.
   */
  toReadableStream(): ReadableStream<TurnEvent> {
    return pulled(this, async () => {
      const { done, value } = await this.next();
      return done ? undefined : [value];
    });
  }

  /**
   * The events that were not taken yet, as chunks of the AI SDK; see {@link Turn.toUIMessageStream}.
   *
   * The stream never fails: an error is one of its chunks.
   */
  toUIMessageStream(): ReadableStream<UIMessageChunk> {
    const chunks = new Chunks();
    return pulled(this, () => chunks.next(this));
  }
}

/**
 * A stream that asks for items only when they are wanted, and stops the turn when it is cancelled.
 * `ReadableStream.from` gives one item for each event, and Node has it only since 20.6.
 */
function pulled<T>(events: TurnEvents, next: () => Promise<T[] | undefined>): ReadableStream<T> {
  let cancelled = false;
  const source = {
    async pull(controller: { enqueue(item: T): void; close(): void }): Promise<void> {
      let items: T[] | undefined = [];
      while (items?.length === 0) items = await next();
      // A cancelled stream is closed already.
      if (cancelled) return;
      for (const item of items ?? []) controller.enqueue(item);
      if (!items) controller.close();
    },
    async cancel(): Promise<void> {
      cancelled = true;
      await events.return();
    },
  };
  return new ReadableStream<T>(source, { highWaterMark: 0 });
}
