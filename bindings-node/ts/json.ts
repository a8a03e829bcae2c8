/**
 * The JSON of what a program hands over. `JSON.stringify` makes `{}` or `null` of much that holds data, and says
 * nothing of it; here it is refused, with the place where it stands.
 */

import { types } from "node:util";
import { describe, isError } from "./describe.js";
import { isPlainObject } from "./plain.js";

/** The error for a value that has no JSON; the path is empty where that is the whole value. */
export type Refuse = (path: string, words: string) => Error;

/** How deep the engine reads a frame, the frame itself among the levels. */
export const FRAME_DEPTH = 127;

/** Deeper is looked at with care, for it may be without an end. */
const PLAIN_DEPTH = 127;

/** Longer paths tell nobody more. */
const LONGEST_PATH = 12;

/**
 * The JSON text of a value. As with `JSON.stringify`, `toJSON` is heeded, and fields that are `undefined` or functions
 * are left out. Refused are numbers that are not finite, dates that are none, big integers, symbols, functions in
 * lists, maps, sets, errors, typed arrays, objects of a class without `toJSON` and without fields, and what contains
 * itself or is deeper than `deepest` levels.
 */
export function jsonText(value: unknown, refuse: Refuse, deepest = Number.MAX_VALUE): string {
  // To look through what is plain first costs less than to write it with a replacer.
  if (looksPlain(value, Math.min(deepest, PLAIN_DEPTH))) return JSON.stringify(value);
  return new Copy(refuse, deepest).text(value);
}

function looksPlain(value: unknown, levels: number): boolean {
  try {
    return isPlain(value, levels);
  } catch {
    // A getter has failed; where, is found out in the other way.
    return false;
  }
}

/** A path as it stands in a message about a command. */
export const fieldNamed = (path: string) => (path === "" ? "command" : `field \`${path}\``);

/** What a value is, in a word. */
export function kindOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value;
  return value.constructor?.name || "object";
}

/** Whether a value is made of literals alone, and not deeper than so many levels. */
function isPlain(value: unknown, levels: number): boolean {
  if (typeof value === "string" || typeof value === "boolean") return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object") return false;
  if (value === null) return true;
  if (levels <= 0) return false;
  if (Array.isArray(value)) return value.every((item) => isPlain(item, levels - 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const name in value) {
    const field = (value as Record<string, unknown>)[name];
    if (field !== undefined && !isPlain(field, levels - 1)) return false;
  }
  return true;
}

/** A copy of a value that is made of literals alone. */
class Copy {
  readonly #refuse: Refuse;
  readonly #deepest: number;
  /** What is being copied, from the outside to the inside, and how one comes there. */
  readonly #inside: object[] = [];
  readonly #path: string[] = [];
  #refused: Error | undefined;

  constructor(refuse: Refuse, deepest: number) {
    this.#refuse = refuse;
    this.#deepest = deepest;
  }

  text(value: unknown): string {
    try {
      const copy = this.#of(value, "");
      if (copy === undefined) throw this.#wrong(`expected a JSON value, got ${kindOf(value)}`);
      return JSON.stringify(copy);
    } catch (error) {
      // Getters and `toJSON` are the program's own, and there is no end to the stack of some values only.
      throw this.#refused ?? this.#wrong(`cannot be written as JSON: ${describe(error)}`);
    }
  }

  #of(given: unknown, key: string): unknown {
    const value = unboxed(afterToJson(given, key));
    if (typeof value === "number" && !Number.isFinite(value)) {
      throw this.#wrong(`expected a finite number, got ${value}`);
    }
    if (value === null && types.isDate(given)) {
      throw this.#wrong(`expected a JSON value, got ${String(given)}`);
    }
    if (typeof value === "bigint" || typeof value === "symbol") {
      throw this.#wrong(`expected a JSON value, got ${kindOf(value)}`);
    }
    if (typeof value === "function") return undefined;
    return typeof value === "object" && value !== null ? this.#ofObject(value) : value;
  }

  #ofObject(value: object): unknown {
    if (isRawJson(value)) return value;
    if (hidesData(value)) throw this.#wrong(`expected a JSON value, got ${kindOf(value)}`);
    if (this.#inside.includes(value)) throw this.#wrong("it contains itself");
    if (this.#inside.length >= this.#deepest) {
      throw this.#wrong(`nested too deeply: more than ${this.#deepest} levels`);
    }
    this.#inside.push(value);
    const copy = Array.isArray(value) ? this.#ofList(value) : this.#ofFields(value);
    this.#inside.pop();
    return copy;
  }

  #ofList(list: readonly unknown[]): unknown[] {
    return Array.from(list, (item, index) => {
      return this.#at(`[${index}]`, () => {
        const copy = this.#of(item, String(index));
        // Others would stand as `null` where something was meant to be.
        if (copy !== undefined || item === undefined) return copy;
        throw this.#wrong(`expected a JSON value, got ${kindOf(item)}`);
      });
    });
  }

  #ofFields(value: object): object {
    // Without a prototype, where also `__proto__` is a field.
    const copy: Record<string, unknown> = Object.create(null);
    for (const name of Object.keys(value)) {
      this.#at(`.${name}`, () => {
        copy[name] = this.#of((value as Record<string, unknown>)[name], name);
      });
    }
    return copy;
  }

  /** What fails leaves its path behind, for its message. */
  #at<T>(step: string, copied: () => T): T {
    this.#path.push(step);
    const copy = copied();
    this.#path.pop();
    return copy;
  }

  #wrong(words: string): Error {
    const steps = this.#path.slice(0, LONGEST_PATH).join("").replace(/^\./, "");
    const path = this.#path.length > LONGEST_PATH ? `${steps}…` : steps;
    this.#refused = this.#refuse(path, words);
    // From where the value was handed over; the steps into it are in the path.
    Error.captureStackTrace?.(this.#refused, jsonText);
    return this.#refused;
  }
}

/** What `JSON.stringify` takes in the place of a value. */
function afterToJson(value: unknown, key: string): unknown {
  if (value === undefined || value === null) return value;
  const { toJSON } = value as { toJSON?: unknown };
  return typeof toJSON === "function" && typeof value !== "string"
    ? toJSON.call(value, key)
    : value;
}

function unboxed(value: unknown): unknown {
  return types.isBoxedPrimitive(value) ? value.valueOf() : value;
}

/** Text that newer versions of Node write as it is: numbers, for one, of more digits than they have. */
function isRawJson(value: object): boolean {
  const { isRawJSON } = JSON as { isRawJSON?: (value: unknown) => boolean };
  return isRawJSON?.(value) === true;
}

/** Whether an object has what no field shows: of a class, and without fields, or known to be more than its fields. */
function hidesData(value: object): boolean {
  if (Array.isArray(value) || isPlainObject(value)) return false;
  return (
    types.isMap(value) ||
    types.isSet(value) ||
    ArrayBuffer.isView(value) ||
    isError(value) ||
    Object.keys(value).length === 0
  );
}
