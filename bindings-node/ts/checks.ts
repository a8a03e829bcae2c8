/** The checks of options, which name the option. */

import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { meant } from "./meant.js";

/** What an option may be; a count is a whole number that the engine counts with. */
export type Kind = "string" | "number" | "boolean" | "whole" | "count";

/** A name for each option, none of which is forgotten; only the keys count. */
export type NamesOf<Options> = { readonly [Name in keyof Options]-?: unknown };

/** What the engine counts with ends here. */
const MOST = 2 ** 32 - 1;

/** A value as it stands in a message about an option. */
export function show(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : describe(value);
}

/** A value of its kind, or none. */
export function check(name: string, value: unknown, kind: Kind): void {
  if (value === undefined || value === null || isOf(kind, value)) return;
  // What was meant as a token may be one.
  const got = name === "authToken" ? typeof value : show(value);
  throw new InvalidOption(`${name}: expected a ${EXPECTED[kind] ?? kind}, got ${got}`);
}

const EXPECTED: Partial<Record<Kind, string>> = {
  whole: "whole number",
  count: `whole number, ${MOST} at most`,
};

function isOf(kind: Kind, value: unknown): boolean {
  if (kind === "whole" || kind === "count") {
    // Whether 0 is enough is the engine's to judge.
    const most = kind === "count" ? MOST : Number.MAX_SAFE_INTEGER;
    return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
  }
  // What is no number at all has the type of one.
  return typeof value === kind && !Number.isNaN(value);
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
    // Not what it is: a token is easily taken for all there is to say (`connect(url, token)`).
    const got = value === null ? "null" : typeof value;
    throw new InvalidOption(`${name}: expected an object, got ${got}`);
  }
  return value;
}

/**
 * Options must be those that there are. One that nobody reads would be ignored in silence, and with a slip in its
 * name a limit, a token or a handler with it. What is there and undefined says nothing.
 */
export function checkedNames<T extends object>(options: T, known: object, prefix = ""): T {
  for (const name in options) {
    if (Object.hasOwn(known, name) || options[name] === undefined) continue;
    const names = Object.keys(known);
    // Not what it is: it may be a token.
    throw new InvalidOption(`${prefix}${name}: there is no such option`, {
      hint: hintFor(name, names),
    });
  }
  return options;
}

function hintFor(name: string, names: readonly string[]): string {
  const near = meant(name, names);
  if (near !== undefined) return `did you mean ${near}?`;
  if (name === "outputSchema") return "only run and map wait for such a result";
  return `the options are ${names.join(", ")}`;
}

/** Both: an object, with no other options than those that there are. */
export function checkedOptions<T extends object>(options: T, known: object): T {
  return checkedNames(checkedObject("options", options), known);
}
