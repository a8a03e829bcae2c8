/** Telling objects that hold data from those of classes. */

/** Whether a value is an object as literals and JSON make it. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // One from another realm, of a test runner for example, has that realm's prototype.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
