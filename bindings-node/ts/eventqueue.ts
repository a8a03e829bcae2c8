/** The events of one turn on their way to its readers. */

import { type NativeEvent, type Pieces, type TurnEvent, turnEvent } from "./events.js";
import type { TakenEvents } from "./native.cjs";

/** The engine's side: it keeps the events, within bounds, until somebody wants them. */
export interface EventSource {
  /** Events as JSON, pieces of one message as one list of it ({@link Pieces}), and apart from it outputs that are long. */
  takeTurn(token: number): TakenEvents;
  leaveTurn(token: number): void;
}

/** What the pieces of one message have in common: so many items at the beginning of their list. */
const COMMON = 3;

/** Fetches events when a reader asks for one, and not before. */
export class EventQueue {
  readonly #source: EventSource;
  readonly #token: number;
  /** Pieces of one message that follow each other are one item. */
  #fetched: (NativeEvent | Pieces)[] = [];
  #next = 0;
  /** How far the pieces at that place were taken. */
  #piece = 0;
  /** There is something to fetch. */
  #ready = false;
  /** Nothing comes any more. */
  #over = false;
  #readers: (() => void)[] = [];
  /** Whoever read last, and has not come to an end. */
  #reader: object | undefined;
  /** How many of its calls wait for an event. */
  #waiting = 0;
  /** Those in whose place another one has gone on. */
  readonly #former = new WeakSet<object>();
  /** Long outputs of calls, in the order in which they crossed; the result goes without them. */
  #outputs: string[] | undefined = [];

  constructor(source: EventSource, token: number) {
    this.#source = source;
    this.#token = token;
  }

  /** Whether every event was taken and none comes any more. */
  get over(): boolean {
    return this.#over && !this.#ready && this.#next >= this.#fetched.length;
  }

  /** What a result goes without, while it is delivered. */
  get outputs(): readonly string[] {
    return this.#outputs ?? [];
  }

  /**
   * Whether a reader may have the next event. Another one may go on where one has stopped to ask, but not take turns
   * with it: each would have a part of the events.
   */
  claim(reader: object): boolean {
    if (this.#reader === reader) return true;
    if (this.#reader !== undefined) {
      if (this.#waiting > 0 || this.#former.has(reader)) return false;
      this.#former.add(this.#reader);
    }
    this.#reader = reader;
    return true;
  }

  release(reader: object): void {
    if (this.#reader === reader) this.#reader = undefined;
  }

  /** The engine has events. */
  ready(): void {
    this.#ready = true;
    this.wake();
  }

  /** The turn has ended: what is there is the last. */
  end(): void {
    this.#outputs = undefined;
    this.#ready = true;
    this.#over = true;
    this.wake();
  }

  /** Nobody needs events any more. */
  leave(): void {
    this.#source.leaveTurn(this.#token);
    this.#outputs = undefined;
    this.#fetched = [];
    this.#ready = false;
    this.#over = true;
    this.wake();
  }

  /** The next event; `undefined` when there is none now. */
  take(): TurnEvent | undefined {
    if (this.#next >= this.#fetched.length) this.#fetch();
    const piece = this.piece();
    if (piece !== undefined) return piece;
    const item = this.#fetched[this.#next];
    if (item === undefined || Array.isArray(item)) return undefined;
    this.#next += 1;
    return turnEvent(item);
  }

  /** The next event, where it is a piece of text and was fetched. */
  piece(): TurnEvent | undefined {
    const item = this.#fetched[this.#next];
    if (!Array.isArray(item)) return undefined;
    const at = this.#piece + COMMON;
    if (at + 1 < item.length) {
      this.#piece += 1;
    } else {
      this.#piece = 0;
      this.#next += 1;
    }
    return { type: item[0], text: item[at] ?? "", runId: item[1], messageId: item[2] };
  }

  /** Resolves when it is worth asking again. */
  async changed(): Promise<void> {
    this.#waiting += 1;
    await new Promise<void>((resolve) => this.#readers.push(resolve));
    this.#waiting -= 1;
  }

  wake(): void {
    const readers = this.#readers;
    this.#readers = [];
    for (const resolve of readers) resolve();
  }

  #fetch(): void {
    this.#fetched = [];
    this.#next = 0;
    if (!this.#ready) return;
    const { events, outputs } = this.#source.takeTurn(this.#token);
    const fetched = JSON.parse(events);
    for (const { place, text } of outputs) {
      const event = fetched[place];
      event.output = text;
      if (event.type === "tool_call_end") this.#outputs?.push(event.output);
    }
    this.#fetched = fetched;
    // A part of what waits: more may, and is not told of again, until nothing came.
    this.#ready = this.#fetched.length > 0;
    if (this.#over && !this.#ready) this.#source.leaveTurn(this.#token);
  }
}
