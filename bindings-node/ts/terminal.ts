/// <reference lib="esnext.disposable" preserve="true" />
/** A terminal on the server. */

import { checkedOptions, type NamesOf } from "./checks.js";
import { describe } from "./describe.js";
import { AbortError, Disconnected, RequestTimeout } from "./errors.js";
import { TerminalsFamily } from "./families.js";
import type { Caller } from "./family.js";
import { followed, type Inbox } from "./inbox.js";
import { REQUEST_NAMES, type RequestOptions } from "./options.js";
import type { WsProtocolMessage } from "./protocol.js";
import type { Reading } from "./reading.js";
import { refused } from "./refused.js";
import { clearTimeout, setTimeout } from "./timers.js";

/** How long output may still come behind the exit, or behind a kill, which tells no exit (section 19). */
const TAIL_MS = 250;

/** What `open` takes. */
export interface TerminalOptions extends RequestOptions {
  /** The width in characters; 80 by default. */
  cols?: number | undefined;
  /** The height in lines; 24 by default. */
  rows?: number | undefined;
  /** The directory on the server; the one that the server runs in by default. */
  cwd?: string | undefined;
}

const TERMINAL_NAMES: NamesOf<TerminalOptions> = {
  cols: "number",
  rows: "number",
  cwd: "string",
  ...REQUEST_NAMES,
};

/**
 * A terminal that runs on the server, from `client.terminals.open()`: an async iterable of its output,
 * with the escape sequences in it.
 *
 * There is one stream of output: leaving a loop does not end the terminal, and the next loop goes on where
 * it stopped. The stream ends a quarter of a second after the terminal's exit or a kill, because output may
 * still follow (section 19), and at the client's `close()`. It rejects with {@link Disconnected} when the
 * connection is lost, because the server then ends its terminals. A loop that waits keeps the process alive.
 * The end of an `await using` block kills the terminal.
 */
export class Terminal implements AsyncIterable<string> {
  /** Its `terminal_id`. */
  readonly id: string;
  readonly #caller: Caller;
  readonly #output: Inbox<string>;
  #pid = 0;
  #exitCode: number | null = null;
  #tail: NodeJS.Timeout | undefined;

  /** @internal */
  constructor(caller: Caller) {
    this.id = caller.nextId("terminal");
    this.#caller = caller;
    // Before it runs: its first output may come right behind the answer.
    this.#output = followed<string>(
      caller,
      { types: ["terminal_output", "terminal_exited"] },
      {
        ofConnection: true,
        sizeOf: (text) => Buffer.byteLength(text),
        left: () => clearTimeout(this.#tail),
      },
      (message) => this.#received(message),
    );
  }

  /** @internal */
  async start({ cols = 80, rows = 24, cwd, ...options }: TerminalOptions): Promise<this> {
    try {
      const command = { terminal_id: this.id, cols, rows, ...(cwd === undefined ? {} : { cwd }) };
      const answer = await this.#caller.ask("terminal_spawn", command, options);
      if (answer.type === "terminal_exited") {
        const error = answer.error ?? `it exited with ${describe(answer.exitCode)}`;
        throw refused({ ...answer, error }, answer);
      }
      this.#pid = answer.pid;
      return this;
    } catch (error) {
      // Whoever does not wait any more cannot end what the server may have started meanwhile.
      if (error instanceof AbortError || error instanceof RequestTimeout) this.kill();
      this.#output.leave();
      throw error;
    }
  }

  /** The process on the server. */
  get pid(): number {
    return this.#pid;
  }

  /** The exit code; `null` while the terminal runs, and for one that was killed. */
  get exitCode(): number | null {
    return this.#exitCode;
  }

  /** How many pieces of output were dropped, because they were not read for too long. */
  get dropped(): number {
    return this.#output.dropped;
  }

  /**
   * Types text. Sends `terminal_input`, which is not answered; nothing happens when the terminal has
   * ended. Throws {@link Disconnected}, {@link ClientClosed} and {@link InvalidCommand}.
   */
  write(data: string): void {
    this.#caller.tell("terminal_input", { terminal_id: this.id, data });
  }

  /** Changes the size, in characters and lines. Sends `terminal_resize`; otherwise like `write`. */
  resize(cols: number, rows: number): void {
    this.#caller.tell("terminal_resize", { terminal_id: this.id, cols, rows });
  }

  /**
   * Ends the terminal. Sends `terminal_kill`, which is not answered; the exit is not reported then. Does
   * nothing when the terminal has ended or the connection is gone.
   */
  kill(): void {
    if (this.#tail || this.#output.over) return;
    this.#endSoon();
    try {
      this.#caller.tell("terminal_kill", { terminal_id: this.id });
    } catch (error) {
      if (!(error instanceof Disconnected)) throw error;
    }
  }

  /** Goes on reading the output where the last loop was left. */
  [Symbol.asyncIterator](): Reading<string> {
    const output = this.#output;
    let left = false;
    const leave = async () => {
      left = true;
      return { done: true as const, value: undefined };
    };
    return {
      next: async () => (left ? { done: true, value: undefined } : output.next()),
      return: leave,
      throw: async (error) => {
        await leave();
        throw error;
      },
      [Symbol.asyncDispose]: async () => void (await leave()),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** Kills the terminal and forgets its output, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    this.#output.leave();
  }

  #received(message: WsProtocolMessage): void {
    if (message.type === "terminal_output" && message.terminal_id === this.id) {
      this.#output.push(message.data);
    } else if (message.type === "terminal_exited" && message.terminal_id === this.id) {
      this.#exitCode = message.exitCode;
      this.#endSoon();
    }
  }

  #endSoon(): void {
    this.#tail ??= setTimeout(() => this.#output.end(), TAIL_MS).unref();
  }
}

/** The commands of the family `terminals` (section 20), and terminals as objects. */
export class Terminals extends TerminalsFamily {
  /**
   * Starts a terminal. Sends `terminal_spawn` with a new id; resolves when the terminal runs.
   * Cancelling ends the terminal if it has started.
   *
   * Rejects with {@link RequestError} when it cannot be started, and otherwise like every command of a family.
   */
  async open(options: TerminalOptions = {}): Promise<Terminal> {
    const { signal } = checkedOptions(options, TERMINAL_NAMES);
    // Then there is nothing to end either.
    if (signal?.aborted) throw new AbortError(signal.reason);
    return new Terminal(this.caller).start(options);
  }
}
