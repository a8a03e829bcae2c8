/** The way through the loop of Node that no fake timers hold up. */

import { MessageChannel } from "node:worker_threads";

/** Both ends of a channel within this thread. */
export class Port {
  readonly #channel = new MessageChannel();
  #calls: (() => void)[] = [];
  #held = false;

  constructor() {
    this.#channel.port1.on("message", () => this.#run()).unref();
  }

  /** Calls a function in another turn of the loop, which goes on until then. */
  soon(call: () => void): void {
    this.#calls.push(call);
    if (this.#calls.length > 1) return;
    this.#channel.port1.ref();
    this.#channel.port2.postMessage(undefined);
  }

  /** The loop goes on. */
  ref(): this {
    this.#held = true;
    this.#channel.port1.ref();
    return this;
  }

  unref(): this {
    this.#held = false;
    if (this.#calls.length === 0) this.#channel.port1.unref();
    return this;
  }

  #run(): void {
    const calls = this.#calls;
    this.#calls = [];
    if (!this.#held) this.#channel.port1.unref();
    for (const [index, call] of calls.entries()) {
      try {
        call();
      } catch (error) {
        // The others are none the worse for it.
        for (const later of calls.slice(index + 1)) this.soon(later);
        throw error;
      }
    }
  }
}
