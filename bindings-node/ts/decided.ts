/** The latest decisions on permissions. */

import type { AuditEntry } from "./audit.js";

/** How many a session keeps, and how many bytes their arguments may have together. */
const MOST = 4096;
const MOST_BYTES = 64 * 1024 * 1024;

/** A list that keeps what was added last, as much as a session may keep. */
export class Decided {
  readonly #entries: AuditEntry[] = [];
  readonly #sizes: number[] = [];
  #bytes = 0;
  #dropped = 0;

  /** All that are kept, in their order. */
  get entries(): readonly AuditEntry[] {
    return Object.freeze([...this.#entries]);
  }

  /** How many were kept and are no longer. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Adds one; the oldest go where there are too many, or too many bytes. The last one stays. */
  keep(entry: AuditEntry): void {
    const size = Buffer.byteLength(JSON.stringify(entry.input));
    this.#entries.push(entry);
    this.#sizes.push(size);
    this.#bytes += size;
    while (this.#entries.length > MOST || (this.#bytes > MOST_BYTES && this.#entries.length > 1)) {
      this.#entries.shift();
      this.#bytes -= this.#sizes.shift() ?? 0;
      this.#dropped += 1;
    }
  }
}
