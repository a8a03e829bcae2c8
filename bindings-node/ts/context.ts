/** Where the program's functions run: what its `AsyncLocalStorage`s hold there. */

import { AsyncResource } from "node:async_hooks";

/**
 * The asynchronous context of whoever makes it. Nothing of the connection's own may take the place of that: a client
 * that a request has opened is used by all that come after it.
 */
export class Context {
  // One that nobody has any more is destroyed with it, where somebody watches (`async_hooks`).
  readonly #resource = new AsyncResource("AppClientHandler");
  #ended = false;

  /** Calls a function in it. */
  run<T>(call: () => T): T {
    return this.#resource.runInAsyncScope(call);
  }

  /** What it is of has ended, as tools that look for leaks are told. What runs in it goes on, and may still begin. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#resource.emitDestroy();
  }
}

/** That of the program's start, as a rule: what lives for as long as a client must not hold the store of a request. */
const root = new Context();

/** Makes what outlives its caller. */
export const outside = <T>(make: () => T): T => root.run(make);
