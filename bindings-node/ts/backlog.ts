/** Items that wait for a reader, within bounds: as the engine's own queue keeps them. */

import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { Fifo } from "./fifo.js";
import type { MessageFilter } from "./filters.js";
import { keptFrames } from "./native.cjs";

/** What waits at most: as much as the engine itself keeps for a thread that is busy. */
const MOST_ITEMS = 65_536;
const MOST_BYTES = 64 * 1024 * 1024;

/** The types of the frames that no reader misses, however far it lags. */
const KEPT: ReadonlySet<string> = new Set(keptFrames());

/** Whether a frame of a type stays where others go. */
export const isKept = (type: string): boolean => KEPT.has(type);

/** Whether nothing that passes a filter is ever dropped. */
export const missesNothing = ({ types }: MessageFilter): boolean => types?.every(isKept) ?? false;

/**
 * What happens when too much waits for a reader. `drop_oldest`: the oldest messages go, and are
 * counted. `raise`: the reader gets what had come, and then {@link Lagged}.
 */
export type Overflow = "drop_oldest" | "raise";

/** How much may wait for a reader, and what happens above that. */
export interface BacklogOptions {
  /** How many messages may wait; 65,536 by default. */
  limit?: number | undefined;
  /** How many bytes of messages may wait; 64 MiB by default. A single one may be larger. */
  maxBytes?: number | undefined;
  /** What happens above one of these limits; `drop_oldest` by default. */
  overflow?: Overflow | undefined;
}

/** How its items are judged. */
export interface Judge<T> {
  /** The bytes that an item counts. */
  sizeOf(item: T): number;
  /** Whether an item stays where others go; none does without. */
  stays?(item: T): boolean;
}

interface Entry<T> {
  item: T;
  size: number;
}

function checkedLimit(name: string, limit: number | undefined, most: number): number {
  if (limit === undefined) return most;
  if (Number.isInteger(limit) && limit > 0) return limit;
  throw new InvalidOption(`${name}: expected a whole number above 0, got ${describe(limit)}`);
}

/** A bounded queue. Items that stay may alone lead above the limits; a single item is never too much. */
export class Backlog<T> {
  readonly #judge: Judge<T>;
  readonly #limit: number;
  readonly #maxBytes: number;
  readonly #raises: boolean;
  /** What stayed when its neighbours went; older than the rest. */
  readonly #kept = new Fifo<Entry<T>>();
  readonly #items = new Fifo<Entry<T>>();
  #bytes = 0;
  #dropped = 0;

  /** @throws {@link InvalidOption} names the option that cannot be used. */
  constructor({ limit, maxBytes, overflow }: BacklogOptions, judge: Judge<T>) {
    this.#judge = judge;
    this.#limit = checkedLimit("limit", limit, MOST_ITEMS);
    this.#maxBytes = checkedLimit("maxBytes", maxBytes, MOST_BYTES);
    if (overflow !== undefined && overflow !== "drop_oldest" && overflow !== "raise") {
      const known = '"drop_oldest" or "raise"';
      throw new InvalidOption(`overflow: expected ${known}, got ${describe(overflow)}`);
    }
    this.#raises = overflow === "raise";
  }

  get size(): number {
    return this.#kept.size + this.#items.size;
  }

  /** How many items are missing. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether an item is missing that must not be: nothing more is taken in. */
  get burst(): boolean {
    return this.#raises && this.#dropped > 0;
  }

  push(item: T): void {
    const size = this.#judge.sizeOf(item);
    if (this.burst || (this.#raises && this.#isTooMuch(1, size))) {
      this.lost(1);
      return;
    }
    this.#items.push({ item, size });
    this.#bytes += size;
    while (this.#isTooMuch(0, 0)) {
      const oldest = this.#items.shift();
      if (!oldest) break;
      if (this.#judge.stays?.(oldest.item)) {
        this.#kept.push(oldest);
      } else {
        this.#bytes -= oldest.size;
        this.#dropped += 1;
      }
    }
  }

  /** Counts items that are missing. */
  lost(count: number): void {
    this.#dropped += count;
  }

  /** The oldest item, if there is one. */
  take(): { item: T } | undefined {
    const entry = this.#kept.shift() ?? this.#items.shift();
    this.#bytes -= entry?.size ?? 0;
    return entry;
  }

  clear(): void {
    this.#kept.clear();
    this.#items.clear();
    this.#bytes = 0;
  }

  #isTooMuch(more: number, size: number): boolean {
    const count = this.size + more;
    return count > 1 && (count > this.#limit || this.#bytes + size > this.#maxBytes);
  }
}
