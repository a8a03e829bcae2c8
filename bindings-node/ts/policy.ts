/** Policies: permissions decided by rules, and by a person where no rule does (section 13). */

import {
  type ApprovalHandler,
  type ApprovalRequest,
  allow,
  type Decision,
  deny,
} from "./approvals.js";
import { checkedDecision } from "./decisions.js";
import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { allowedByNoRule, deniedByRule } from "./native.cjs";
import { type RuleScope, scopeTest } from "./rules.js";
import type { HandlerOptions } from "./running.js";

/**
 * A rule: decides on a permission, now or when its promise resolves, or leaves it with `undefined` to the
 * next rule. A function of yours can be one.
 */
export type PolicyRule = (
  request: ApprovalRequest,
  options: HandlerOptions,
) => Decision | undefined | Promise<Decision | undefined>;

/** What a rule that denies is about, and what it says. */
export interface DenyScope extends RuleScope {
  /** What the model is told as the tool's result; by default that a rule denies it. */
  message?: string | undefined;
}

/** The names of tools, or one scope. */
type Scopes<Scope> = readonly string[] | readonly [Scope];

function scopeOf<Scope extends RuleScope>(scopes: Scopes<Scope>): Scope {
  const [first] = scopes;
  const single = scopes.length === 1 && typeof first === "object" && first !== null;
  return single ? (first as Scope) : ({ tools: scopes } as unknown as Scope);
}

/**
 * Rules for permissions, and what makes a handler of them. Nothing here sends anything by itself.
 *
 * ```ts
 * const onApproval = policy.firstMatch(
 *   policy.deny({ tools: ["Bash"], where: { command: /\brm\b/ }, message: "nothing is deleted" }),
 *   policy.allow("Read", "Grep", "Glob"),
 *   policy.allow({ tools: ["Bash"], where: { command: /^(pytest|ruff)( [\w./-]+)*$/ } }),
 *   policy.ask(async ({ toolName }) => ((await confirm(toolName)) ? allow() : deny("not now"))),
 * );
 * await client.runTurn({ runtime, payload }, { onApproval });
 * ```
 *
 * A command line can hold several commands: a pattern that allows it should describe all of it, from `^`
 * to `$`.
 */
export const policy = Object.freeze({
  /**
   * A rule that allows: all calls of the named tools, or those of `tools` whose arguments match `where`.
   * The arguments stay as they are.
   *
   * @throws {@link InvalidOption} names the part that cannot be used: no name, no pattern, or a part that
   * a scope does not have.
   */
  allow(...scopes: readonly string[] | readonly [RuleScope]): PolicyRule {
    const within = scopeTest(scopeOf(scopes), ["tools", "where"]);
    return (request) => (within(request) ? allow() : undefined);
  },

  /**
   * A rule that denies: all calls of the named tools, or those of `tools` whose arguments match `where`.
   *
   * @throws {@link InvalidOption} as `allow` does, and for a message that is no text.
   */
  deny(...scopes: readonly string[] | readonly [DenyScope]): PolicyRule {
    const scope = scopeOf(scopes);
    const within = scopeTest(scope, ["tools", "where", "message"]);
    const { message } = scope;
    if (message !== undefined && typeof message !== "string") {
      throw new InvalidOption(`message: expected a text, got ${describe(message)}`);
    }
    return (request) => {
      if (!within(request)) return undefined;
      return deny(message ?? deniedByRule(request.toolName));
    };
  },

  /**
   * A rule that asks a handler about every call. It decides in any case: a handler that returns no
   * decision, or fails, denies with the reason, and no later rule allows the call.
   *
   * @throws {@link InvalidOption} for what is no function.
   */
  ask(handler: ApprovalHandler): ApprovalHandler {
    if (typeof handler !== "function") {
      throw new InvalidOption(`ask: expected a function, got ${describe(handler)}`);
    }
    return async (request, options) => checkedDecision(await handler(request, options));
  },

  /**
   * A handler, for `onApproval` and `onApprovalRequest`, that takes the decision of the first rule that
   * has one, in their order. Without one it denies and says so. It rejects as a rule does that fails,
   * which denies with the reason, and goes no further when the question is not wanted any more.
   *
   * @throws {@link InvalidOption} without a rule, and for what is no function.
   */
  firstMatch(...rules: readonly PolicyRule[]): ApprovalHandler {
    const wrong = rules.findIndex((rule) => typeof rule !== "function");
    if (rules.length === 0 || wrong !== -1) {
      throw new InvalidOption(`rules: expected rules, got ${describe(rules[wrong] ?? "none")}`);
    }
    return async (request, options) => {
      for (const rule of rules) {
        options.signal.throwIfAborted();
        const decision = await rule(request, options);
        if (decision !== undefined) return checkedDecision(decision);
      }
      return deny(allowedByNoRule(request.toolName));
    };
  },
});
