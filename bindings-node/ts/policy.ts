/** Policies: permissions decided by rules, and by a person where no rule does (section 13). */

import {
  type ApprovalHandler,
  type ApprovalRequest,
  allow,
  type Decision,
  deny,
} from "./approvals.js";
import { checkedOptions, type NamesOf } from "./checks.js";
import { asked, isNamed, leaves, named, nameOf } from "./deciders.js";
import { checkedDecision } from "./decisions.js";
import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { allowedByNoRule, deniedByRule } from "./native.cjs";
import { type RuleScope, scoped } from "./rules.js";
import type { HandlerOptions } from "./running.js";

/**
 * A rule: decides on a permission, now or when its promise resolves, or leaves it with `undefined` to the
 * next rule. A function of yours can be one.
 */
export type PolicyRule = (
  request: ApprovalRequest,
  options: HandlerOptions,
) => Decision | undefined | Promise<Decision | undefined>;

/** The questions that a rule is about which may be about all tools: those of `tools`, or of every tool. */
export type WideScope = Partial<RuleScope>;

/** What a rule that denies is about, and what it says. */
export interface DenyScope extends WideScope {
  /** What the model is told as the tool's result; by default, that a rule denies it. */
  message?: string | undefined;
}

/** The names of tools, or one scope. */
type Scopes<Scope> = readonly string[] | readonly [Scope];

/** What decides where no rule does: a rule, a decision, a function, `policy.deny` or `policy.allowAll`. */
export type Otherwise =
  | PolicyRule
  | Decision
  | ((...scopes: readonly string[]) => PolicyRule)
  | (() => ApprovalHandler);

/** What a policy does when no rule decides. */
export interface PolicyOptions {
  /** What decides when none of the rules does; by default the call is denied. */
  otherwise?: Otherwise | undefined;
}

const OPTIONS: NamesOf<PolicyOptions> = { otherwise: "rule" };

function scopeOf<Scope extends WideScope>(scopes: Scopes<Scope>): Scope {
  const [first] = scopes;
  const single = scopes.length === 1 && typeof first === "object" && first !== null;
  return single ? (first as Scope) : ({ tools: scopes } as unknown as Scope);
}

function allowed(...scopes: Scopes<RuleScope>): PolicyRule {
  const { within, words } = scoped(scopeOf(scopes), ["tools", "where"], "some");
  return named((request) => (within(request) ? allow() : undefined), `allow${words}`);
}

function allowedAll(): ApprovalHandler {
  return named(() => allow(), "allowAll");
}

function denied(...scopes: Scopes<DenyScope>): PolicyRule {
  const scope = scopeOf(scopes);
  const { within, words } = scoped(scope, ["tools", "where", "message"], "all");
  const { message } = scope;
  if (message !== undefined && typeof message !== "string") {
    throw new InvalidOption(`message: expected a string, got ${describe(message)}`);
  }
  const wordsOf = ({ toolName }: ApprovalRequest) => message ?? deniedByRule(toolName);
  return named((request) => (within(request) ? deny(wordsOf(request)) : undefined), `deny${words}`);
}

function asking(handler: ApprovalHandler): ApprovalHandler;
function asking(handler: ApprovalHandler, ...scopes: Scopes<WideScope>): PolicyRule;
function asking(handler: ApprovalHandler, ...scopes: Scopes<WideScope>): PolicyRule {
  if (typeof handler !== "function") {
    throw new InvalidOption(`ask: expected a function, got ${describe(handler)}`);
  }
  const who = nameOf(handler);
  const { within, words } = scoped(scopeOf(scopes), ["tools", "where"], "all", who);
  const rule: PolicyRule = async (request, options) =>
    within(request) ? checkedDecision(await handler(request, options)) : undefined;
  return named(rule, `ask${words}`);
}

function firstMatch(...given: readonly PolicyRule[]): ApprovalHandler;
function firstMatch(
  ...given: readonly [...rules: PolicyRule[], options: PolicyOptions]
): ApprovalHandler;
function firstMatch(...given: readonly (PolicyRule | PolicyOptions)[]): ApprovalHandler {
  const { rules, otherwise } = partsOf(given);
  const last = lastRule(otherwise);
  const handler: ApprovalHandler = async (request, options) => {
    for (const rule of [...rules, last]) {
      options.signal.throwIfAborted();
      const decision = await told(rule, request, options);
      if (decision !== undefined) return checkedDecision(decision);
    }
    return unruled(request);
  };
  return leaves(handler, `firstMatch(${[...rules, last].map(nameOf).join(", ")})`);
}

/** What a rule says; it is noted that it was asked. */
async function told(
  rule: PolicyRule,
  request: ApprovalRequest,
  options: HandlerOptions,
): Promise<Decision | undefined> {
  try {
    return await rule(request, options);
  } finally {
    asked(request, rule);
  }
}

/** The rules, and the options behind them. */
function partsOf(given: readonly (PolicyRule | PolicyOptions)[]) {
  const last = given.at(-1);
  // A decision is neither, and nearly a rule.
  const has = typeof last === "object" && last !== null && !("behavior" in last);
  const options = has ? checkedOptions(last as PolicyOptions, OPTIONS) : {};
  const rules = (has ? given.slice(0, -1) : given) as readonly PolicyRule[];
  const wrong = rules.findIndex((rule) => typeof rule !== "function");
  if (wrong !== -1) {
    throw new InvalidOption(`rules: expected rules, got ${describe(rules[wrong])}`);
  }
  return { rules, ...options };
}

const unruled = ({ toolName }: ApprovalRequest) => deny(allowedByNoRule(toolName));

/** The rule that decides where no other does. */
function lastRule(otherwise: Otherwise = denied): PolicyRule {
  if (otherwise === denied) return named((request) => unruled(request), "otherwise deny");
  if (otherwise === allowedAll) return named(() => allow(), "otherwise allow");
  if (otherwise === allowed) {
    throw new InvalidOption(
      "otherwise: allow needs names of tools; policy.allowAll() allows every tool",
    );
  }
  if (typeof otherwise === "object" && otherwise !== null) {
    const decision = checkedOtherwise(otherwise);
    return named(() => decision, `otherwise ${decision.behavior}`);
  }
  if (typeof otherwise !== "function") {
    const expected = "a rule, a decision or a function";
    throw new InvalidOption(`otherwise: expected ${expected}, got ${describe(otherwise)}`);
  }
  return isNamed(otherwise) ? (otherwise as PolicyRule) : asking(otherwise as ApprovalHandler);
}

function checkedOtherwise(decision: Decision): Decision {
  try {
    return checkedDecision(decision);
  } catch (error) {
    throw new InvalidOption(`otherwise: ${describe(error)}`);
  }
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
   * A rule that allows: all calls of the named tools, or those of `tools` whose arguments match `where`. At least one
   * name: a list of names that happens to be empty must not allow everything, which is what `allowAll` is for.
   *
   * @throws {@link InvalidOption} without names of tools, and for patterns that are not valid.
   */
  allow: allowed,

  /**
   * A rule that allows every tool, with any arguments. It decides on every call that reaches it, so put it last, or
   * pass it to `firstMatch` as `otherwise`.
   */
  allowAll: allowedAll,

  /**
   * A rule that denies: all calls of the named tools, or those of `tools` whose arguments match `where`; without names,
   * the calls of every tool. A rule that denies by a pattern is a convenience, not a protection: there are many ways to
   * write a command.
   *
   * @throws {@link InvalidOption} for names and patterns that are not valid, and for a message that is not a string.
   */
  deny: denied,

  /**
   * A rule that asks a handler about every call, or about those of the named tools, or of `tools` whose arguments match
   * `where`. It decides on these in any case: if the handler returns no decision, or fails, the call is denied with the
   * reason, and no later rule can allow it.
   *
   * @throws {@link InvalidOption} for anything but a function, and for names and patterns that are not valid.
   */
  ask: asking,

  /**
   * A handler, for `onApproval` and `onApprovalRequest`, that takes the decision of the first rule that
   * makes one, in order; the rules may be followed by `{ otherwise }`, which decides when no rule does. Without it, the
   * call is denied with that reason. If a rule fails, the handler rejects with its error, which denies the call with the
   * reason. It goes no further when the question no longer needs an answer.
   *
   * @throws {@link InvalidOption} for anything but a rule, and for an `otherwise` that cannot decide.
   */
  firstMatch,
});
