/** Hands the lines that a server prints to a function, on this thread. */

import { Bell } from "./doorbell.js";
import { Handlers } from "./handlers.js";
import { ServerLog as NativeServerLog } from "./native.cjs";
import { clearTimeout, setImmediate, setTimeout } from "./timers.js";

/** How many lines are handed on before others have their turn. */
const BATCH = 1000;
/** How long the last lines of a server that has ended are waited for. */
const LINGER_MS = 2_000;

/** The way of a server's lines to a function; it ends by itself after the last one. */
export class ServerLog {
  readonly native: NativeServerLog;
  readonly #bell = new Bell(() => this.#drain());
  readonly #handlers = new Handlers<[string]>("onLog", () => {});
  #over = false;
  #waiting: (() => void)[] = [];

  constructor(onLog: (line: string) => unknown) {
    this.#handlers.add(onLog);
    this.native = this.#bell.hang((doorbell, bell) => new NativeServerLog(doorbell, bell));
  }

  /** Resolves after the last line, but soon: whoever started the server may hold its output. */
  ended(): Promise<void> {
    if (this.#over) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, LINGER_MS);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #drain(): void {
    if (this.#over) return;
    const lines = this.native.drain(BATCH);
    for (const line of lines) this.#handlers.call(line);
    if (this.native.over) this.#end();
    else if (lines.length === BATCH) setImmediate(() => this.#drain());
  }

  #end(): void {
    this.#over = true;
    this.#bell.takeDown();
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
  }
}
