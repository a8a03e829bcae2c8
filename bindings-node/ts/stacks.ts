/** Stacks of errors that the connection brings: where such an error is made, nobody is who waits for it. */

const brought = new WeakSet<Error>();

/** Says of an error that its stack is nobody's, or that of much in between. */
export function fromOutside<T extends Error>(error: T): T {
  brought.add(error);
  return error;
}

/**
 * Gives an error that was brought the stack of whoever waits for it first, when it is caught in an `async` function: V8
 * knows who awaits that. It costs something only where something has failed.
 */
export function traced(error: unknown): unknown {
  if (!(error instanceof Error) || !brought.delete(error)) return error;
  const here: { stack?: string } = {};
  Error.captureStackTrace?.(here, traced);
  const at = here.stack?.indexOf("\n") ?? -1;
  if (at >= 0) error.stack = `${error.name}: ${error.message}${here.stack?.slice(at)}`;
  return error;
}

/**
 * A promise that rejects with an error that was brought, for a promise of somebody else's to resolve with: V8 follows
 * the promises from the `async` function here to the one that waits, if it does so already when the error is thrown.
 */
export async function rejected(error: unknown): Promise<never> {
  // The promise that was resolved with this one hears of it a little later, and waits for it from then on.
  await undefined;
  await undefined;
  throw traced(error);
}
