/** Which permission questions a rule of a policy is about. */

import { types } from "node:util";
import type { ApprovalRequest } from "./approvals.js";
import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { isPlainObject } from "./plain.js";

/** The questions of some tools, or only those with certain arguments. */
export interface RuleScope {
  /** The names of the tools. */
  tools: readonly string[];
  /**
   * Patterns for arguments, by name. All must match; an argument that is absent or no text matches
   * none. A pattern may match anywhere: anchor it with `^` and `$`.
   */
  where?: Readonly<Record<string, RegExp>> | undefined;
}

/**
 * Whether a question is within a scope.
 *
 * @throws {@link InvalidOption} for a scope without tools, with other things than patterns, or with
 * anything besides `known`: it would cover more, or less, than was meant.
 */
export function scopeTest(
  scope: RuleScope,
  known: readonly string[],
): (request: ApprovalRequest) => boolean {
  const strange = Object.keys(scope).find((key) => !known.includes(key));
  if (strange !== undefined) {
    throw new InvalidOption(`${strange}: expected nothing but ${known.join(", ")}`);
  }
  const tools = new Set(checkedNames(scope));
  const patterns = checkedPatterns(scope);
  return ({ toolName, input }) =>
    tools.has(toolName) &&
    patterns.every(([argument, pattern]) => {
      const value = Object.hasOwn(input, argument) ? input[argument] : undefined;
      pattern.lastIndex = 0;
      return typeof value === "string" && pattern.test(value);
    });
}

function checkedNames({ tools }: RuleScope): readonly string[] {
  const named = Array.isArray(tools) && tools.length > 0;
  if (!named || !tools.every((name: unknown) => typeof name === "string" && name !== "")) {
    const got = Array.isArray(tools) && tools.length === 0 ? "none" : describe(tools);
    throw new InvalidOption(`tools: expected names of tools, got ${got}`);
  }
  return tools;
}

function checkedPatterns({ where }: RuleScope): [argument: string, pattern: RegExp][] {
  if (where === undefined) return [];
  if (!isPlainObject(where) || Object.keys(where).length === 0) {
    throw new InvalidOption(`where: expected patterns by argument, got ${describe(where)}`);
  }
  return Object.entries(where).map(([argument, pattern]) => {
    if (!types.isRegExp(pattern)) {
      const words = `expected a regular expression, got ${describe(pattern)}`;
      throw new InvalidOption(`where.${argument}: ${words}`);
    }
    // Patterns with `g` or `y` go on where they last stopped: a copy of our own begins anew each time.
    return [argument, new RegExp(pattern)];
  });
}
