/** The user's handlers of one event. */

/** Reports a handler that failed as a process warning of type `AppClientHandlerWarning`. */
export function reportHandlerError(event: string, error: unknown): void {
  const text = error instanceof Error ? error.message : String(error);
  const detail = error instanceof Error ? error.stack : undefined;
  process.emitWarning(`a handler of ${event} failed: ${text}`, {
    type: "AppClientHandlerWarning",
    ...(detail === undefined ? {} : { detail }),
  });
}

/** Called in the order of registration; one that fails is reported and counted, the others still run. */
export class Handlers<Arguments extends unknown[]> {
  readonly #event: string;
  readonly #failed: () => void;
  #handlers = new Set<(...values: Arguments) => unknown>();

  constructor(event: string, failed: () => void) {
    this.#event = event;
    this.#failed = failed;
  }

  get size(): number {
    return this.#handlers.size;
  }

  add(handler: (...values: Arguments) => unknown): () => void {
    if (typeof handler !== "function") {
      throw new TypeError(`${this.#event}: expected a function, got ${String(handler)}`);
    }
    this.#handlers.add(handler);
    return () => {
      this.#handlers.delete(handler);
    };
  }

  call(...values: Arguments): void {
    for (const handler of this.#handlers) {
      try {
        const returned = handler(...values);
        // An async handler's rejection would otherwise end the process.
        if (returned instanceof Promise) returned.catch((error) => this.#report(error));
      } catch (error) {
        this.#report(error);
      }
    }
  }

  #report(error: unknown): void {
    this.#failed();
    reportHandlerError(this.#event, error);
  }
}
