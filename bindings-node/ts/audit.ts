/** A record of what was decided on permissions. */

import type { ApprovalHandler, ApprovalRequest, Decision } from "./approvals.js";
import { check, checkedOptions } from "./checks.js";
import { decider, named, standsFor } from "./deciders.js";
import { checkedDecision, decisionText } from "./decisions.js";
import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { checkDecision } from "./native.cjs";
import type { RuntimeScope } from "./protocol.js";

/** One permission question and what was decided. Nothing in it can be changed. */
export interface AuditEntry {
  /** When the handler had decided, as ISO 8601 in UTC. */
  readonly time: string;
  /** The server's id of the question. */
  readonly requestId: string;
  /** The model's id of the call. */
  readonly toolCallId: string;
  /** The tool that wanted to run. */
  readonly toolName: string;
  /** Its arguments, as they were when the handler was asked. */
  readonly input: Readonly<Record<string, unknown>>;
  /** The conversation that asked. */
  readonly runtime: Readonly<RuntimeScope>;
  /** What the handler decided; `null` when `error` says why there is no decision. */
  readonly decision: Readonly<Decision> | null;
  /** Who decided: the rule of a policy, such as `allow("Read", "Grep")`, or the name of the function. */
  readonly by: string;
  /** Why the handler's answer had no effect: it failed, which denies the call, or it came too late. */
  readonly error: string | null;
}

/** An approval handler that keeps a record; made by {@link audit}. */
export interface AuditedHandler extends ApprovalHandler {
  /** All entries so far, in the order of the decisions: a frozen list that later ones are not added to. */
  readonly entries: readonly AuditEntry[];
}

/** How a record is kept. */
export interface AuditOptions {
  /** Who decides, instead of the rule or the name of the function. */
  by?: string | undefined;
}

/**
 * The same handler, for `onApproval` and `onApprovalRequest`, with a record of its decisions. Sends
 * nothing by itself. It resolves and rejects as the handler does, and rejects with a `TypeError` for a result
 * that is not a decision, or cannot be written as JSON. The record is kept in memory as long as the handler, and
 * never shortened.
 *
 * ```ts
 * const onApproval = audit(policy.firstMatch(policy.allow("Read")));
 * await client.runTurn({ runtime, payload }, { onApproval });
 * console.table(onApproval.entries);
 * ```
 *
 * @throws {@link InvalidOption} for anything but a function, and for a `by` that is not a string.
 */
export function audit(handler: ApprovalHandler, options: AuditOptions = {}): AuditedHandler {
  const { by } = checkedOptions(options, { by: "string" });
  check("by", by, "string");
  if (typeof handler !== "function") {
    throw new InvalidOption(`audit: expected a function, got ${describe(handler)}`);
  }
  const entries: AuditEntry[] = [];
  const kept = audited(handler, (entry) => entries.push(entry), by);
  return Object.defineProperty(kept, "entries", {
    get: () => Object.freeze([...entries]),
    enumerable: true,
  }) as AuditedHandler;
}

/** The same handler, whose decisions are told one by one. @internal */
export function audited(
  handler: ApprovalHandler,
  tell: (entry: AuditEntry) => void,
  who?: string,
): ApprovalHandler {
  const kept: ApprovalHandler = async (request, options) => {
    const question = questionOf(request);
    const keep = (decision: Decision | null, error: string | null) => {
      const by = who ?? decider(handler, request);
      tell(frozen({ time: new Date().toISOString(), ...question, decision, by, error }));
    };
    const late = () => (options.signal.aborted ? lateText(options.signal) : null);
    try {
      const decision = checkedDecision(await handler(request, options));
      // In its form on the wire: what has none does not count, and denies.
      const text = decisionText(decision);
      const wrong = late() ?? checkDecision(text);
      keep(wrong === null ? JSON.parse(text) : null, wrong);
      return decision;
    } catch (error) {
      keep(null, late() ?? describe(error));
      throw error;
    }
  };
  return who === undefined ? standsFor(kept, handler) : named(kept, who);
}

type Question = Omit<AuditEntry, "time" | "decision" | "by" | "error">;

/** A copy, made before the handler can change the arguments. */
function questionOf(request: ApprovalRequest): Question {
  const { requestId, toolCallId, toolName, input, runtime } = request;
  return structuredClone({ requestId, toolCallId, toolName, input, runtime });
}

function lateText({ reason }: AbortSignal): string {
  const { cause } = (reason ?? {}) as { cause?: unknown };
  return `too late: ${describe(cause ?? reason)}`;
}

function frozen<T extends object>(value: T): T {
  for (const each of Object.values(value)) {
    if (typeof each === "object" && each !== null) frozen(each);
  }
  return Object.freeze(value);
}
