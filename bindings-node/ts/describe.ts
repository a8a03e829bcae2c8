/** Texts for values of unknown kind. */

import { types } from "node:util";

/** Whether it is an error, also one of another realm: a test runner or `node:vm` has its own class. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value);
}

/**
 * What an error says, or any other value as text. Never throws: whatever a program throws must not
 * break the code that reports it, and `Object.create(null)` for one has no text of its own.
 */
export function describe(value: unknown): string {
  try {
    return String(isError(value) ? value.message : value);
  } catch {
    return "a value without a text";
  }
}
