/** Which permission questions a rule of a policy is about. */

import { types } from "node:util";
import type { ApprovalRequest } from "./approvals.js";
import { checkedNames } from "./checks.js";
import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { isPlainObject } from "./plain.js";

/** The questions of some tools, or only those with certain arguments. */
export interface RuleScope {
  /** The names of the tools. */
  tools: readonly string[];
  /**
   * Patterns for arguments, by name. All must match; an argument that is absent or not a string matches
   * none. A pattern may match anywhere: anchor it with `^` and `$`.
   */
  where?: Readonly<Record<string, RegExp>> | undefined;
}

/** What a rule is about. */
export interface Scoped {
  /** Whether a question is within the scope. */
  within(request: ApprovalRequest): boolean;
  /** How the scope stands in the name of a rule: `("Bash", command=/^ls$/)`; nothing where it is about everything. */
  words: string;
}

/**
 * The scope of a rule; without names it is about `all` tools, or refused where there have to be `some`.
 *
 * @throws {@link InvalidOption} for one with other things than names and patterns, or with anything besides `known`: it
 * would cover more, or less, than was meant.
 */
export function scoped(
  scope: Partial<RuleScope>,
  known: readonly string[],
  least: "some" | "all",
  who?: string,
): Scoped {
  checkedNames(scope, Object.fromEntries(known.map((name) => [name, true])));
  const tools = new Set(checkedTools(scope, least));
  const patterns = checkedPatterns(scope);
  const limits = [
    ...(who === undefined ? [] : [who]),
    ...Array.from(tools, (name) => JSON.stringify(name)),
    ...patterns.map(([argument, pattern]) => `${argument}=${pattern}`),
  ];
  return {
    words: limits.length > 0 ? `(${limits.join(", ")})` : "",
    within: ({ toolName, input }) =>
      (tools.size === 0 || tools.has(toolName)) &&
      patterns.every(([argument, pattern]) => {
        const value = Object.hasOwn(input, argument) ? input[argument] : undefined;
        pattern.lastIndex = 0;
        return typeof value === "string" && pattern.test(value);
      }),
  };
}

function checkedTools(
  { tools = [] }: Partial<RuleScope>,
  least: "some" | "all",
): readonly string[] {
  const none = Array.isArray(tools) && tools.length === 0;
  if (none && least === "some") {
    const hint = "policy.allowAll() allows every tool";
    throw new InvalidOption("tools: expected names of tools, got none", { hint });
  }
  if (!Array.isArray(tools) || !tools.every((name) => typeof name === "string" && name !== "")) {
    throw new InvalidOption(`tools: expected names of tools, got ${describe(tools)}`);
  }
  return tools;
}

function checkedPatterns({ where }: Partial<RuleScope>): [argument: string, pattern: RegExp][] {
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
