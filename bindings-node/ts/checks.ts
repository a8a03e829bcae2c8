/** The checks of options, which name the option. */

import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";

/** What an option may be. */
export type Kind = "string" | "number" | "boolean";

/** A value as it stands in a message about an option. */
export function show(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : describe(value);
}

/** A value of its kind, or none. */
export function check(name: string, value: unknown, kind: Kind): void {
  const absent = value === undefined || value === null;
  if (!absent && typeof value !== kind) {
    // What was meant as a token may be one.
    const got = name === "authToken" ? typeof value : show(value);
    throw new InvalidOption(`${name}: expected a ${kind}, got ${got}`);
  }
}

type Named = Record<string, unknown>;

/** Takes over those that are given, once each is of its kind. */
export function take(
  into: object,
  options: object,
  kinds: Readonly<Record<string, Kind>>,
  prefix = "",
): void {
  for (const name in kinds) {
    const value = (options as Named)[name];
    if (value === undefined || value === null) continue;
    check(prefix + name, value, kinds[name] as Kind);
    (into as Named)[name] = value;
  }
}

/** Options must be an object; leaving them out is the same as an empty one. */
export function checkedObject<T extends object>(name: string, value: T): T {
  if (typeof value !== "object" || value === null) {
    throw new InvalidOption(`${name}: expected an object, got ${show(value)}`);
  }
  return value;
}
