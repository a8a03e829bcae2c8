/** Who has decided on a permission, for the record. */

import type { ApprovalRequest } from "./approvals.js";

/** What rules are called; functions of users have a name of their own. */
const names = new WeakMap<object, string>();

/** Handlers that leave it to others to decide, and say who did. */
const leaving = new WeakSet<object>();

/** Who was the last to decide on a request. */
const deciders = new WeakMap<ApprovalRequest, string>();

/** Gives a rule its name. */
export function named<Rule extends object>(rule: Rule, name: string): Rule {
  names.set(rule, name);
  return rule;
}

/** Says of a handler that it leaves it to others to decide. */
export function leaves<Handler extends object>(handler: Handler, name: string): Handler {
  leaving.add(handler);
  return named(handler, name);
}

/** Whether it is a rule that was made here. */
export const isNamed = (rule: object): boolean => names.has(rule);

/** What a rule or a function is called where people read it. */
export function nameOf(rule: object): string {
  return names.get(rule) ?? ((rule as { name?: string }).name || "a function");
}

/** A rule was asked, and whoever it leaves it to has had its say. */
export function asked(request: ApprovalRequest, rule: object): void {
  if (!leaving.has(rule)) deciders.set(request, nameOf(rule));
}

/** Who has decided, of a handler that was asked. */
export function decider(handler: object, request: ApprovalRequest): string {
  return (leaving.has(handler) && deciders.get(request)) || nameOf(handler);
}

/** Takes over what a handler is called, and whether it leaves it to others, for what stands in its place. */
export function standsFor<Handler extends object>(handler: Handler, other: object): Handler {
  return leaving.has(other) ? leaves(handler, nameOf(other)) : named(handler, nameOf(other));
}
