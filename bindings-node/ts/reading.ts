/// <reference lib="esnext.disposable" preserve="true" />
/** The type of what users read from. */

/**
 * What one loop reads, and `await using` lets go of. Spelled out: TypeScript has a type of its own with an end that is
 * `undefined` only since 5.6.
 */
export interface Reading<T> extends AsyncIterator<T, undefined>, AsyncDisposable {
  next(): Promise<IteratorResult<T, undefined>>;
  return(): Promise<IteratorResult<T, undefined>>;
  throw(error?: unknown): Promise<IteratorResult<T, undefined>>;
  [Symbol.asyncIterator](): this;
}
