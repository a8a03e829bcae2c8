/** The user's handlers of one event. */

import { types } from "node:util";
import { show } from "./checks.js";
import { Context } from "./context.js";
import { describe, isError } from "./describe.js";
import { InvalidOption } from "./errors.js";

/** Reports a handler that failed as a process warning of type `AppClientHandlerWarning`. */
export function reportHandlerError(event: string, error: unknown): void {
  process.emitWarning(`a handler of ${event} failed: ${describe(error)}`, {
    type: "AppClientHandlerWarning",
    ...stackOf(error),
  });
}

function stackOf(error: unknown): { detail?: string } {
  try {
    const stack: unknown = isError(error) ? error.stack : undefined;
    return typeof stack === "string" ? { detail: stack } : {};
  } catch {
    // A stack that cannot be read is not worth more than none.
    return {};
  }
}

const nothing = () => {};

/** A set of functions that may change while they are called. */
export class HandlerSet<Handler extends (...values: never[]) => unknown> {
  protected readonly event: string;
  readonly #changed: () => void;
  /** Each with where it was added. Made with the first handler: most sets of an idle client never have one. */
  #handlers: Map<Handler, Context> | undefined;

  constructor(event: string, changed: () => void = nothing) {
    this.event = event;
    this.#changed = changed;
  }

  get size(): number {
    return this.#handlers?.size ?? 0;
  }

  /** Gives the unsubscriber. */
  add(handler: Handler): () => void {
    if (typeof handler !== "function") {
      throw new InvalidOption(`${this.event}: expected a function, got ${show(handler)}`);
    }
    this.#handlers ??= new Map();
    const handlers = this.#handlers;
    if (!handlers.has(handler)) handlers.set(handler, new Context());
    this.#changed();
    return () => {
      const context = handlers.get(handler);
      if (!context) return;
      handlers.delete(handler);
      context.end();
      this.#changed();
    };
  }

  /** The client is closed. */
  end(): void {
    for (const context of this.#handlers?.values() ?? []) context.end();
  }

  /**
   * Visits the handlers in the order of registration, each where it was added: those that were there at the
   * beginning, for one that registers itself again would be visited for ever, and only while they are still there.
   */
  each(visit: (handler: Handler) => void): void {
    const handlers = this.#handlers;
    if (!handlers) return;
    for (const [handler, context] of [...handlers]) {
      if (handlers.has(handler)) this.visit(context, () => visit(handler));
    }
  }

  protected visit(context: Context, call: () => void): void {
    context.run(call);
  }
}

/** Called in the order of registration; one that fails is reported and counted, the others still run. */
export class Handlers<Arguments extends unknown[]> extends HandlerSet<
  (...values: Arguments) => unknown
> {
  readonly #failed: () => void;

  constructor(event: string, failed: () => void, changed?: () => void) {
    super(event, changed);
    this.#failed = failed;
  }

  call(...values: Arguments): void {
    if (this.size === 0) return;
    this.each((handler) => {
      try {
        const returned = handler(...values);
        // An async handler's rejection would otherwise end the process.
        if (types.isPromise(returned)) returned.catch((error) => this.#report(error));
      } catch (error) {
        this.#report(error);
      }
    });
  }

  #report(error: unknown): void {
    this.#failed();
    reportHandlerError(this.event, error);
  }
}

/** Called where the event is: by the program itself, or where it has none, outside of all that it does. */
export class NearHandlers<Arguments extends unknown[]> extends Handlers<Arguments> {
  protected override visit(_: Context, call: () => void): void {
    call();
  }
}
