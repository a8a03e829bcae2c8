/** What approval handlers and rules return, checked. */

import type { Decision } from "./approvals.js";
import { FRAME_DEPTH, jsonText } from "./json.js";

/** The levels of the frame around a decision. */
const AROUND = 2;

/**
 * Only what is called a decision allows anything. What is in it is judged by the engine.
 *
 * Throws a `TypeError` for everything else.
 */
export function checkedDecision(value: unknown): Decision {
  const { behavior } = (value ?? {}) as { behavior?: unknown };
  if (behavior !== "allow" && behavior !== "deny") {
    throw new TypeError("expected allow(…) or deny(…) to be returned");
  }
  return value as Decision;
}

/**
 * The text of a decision. Throws a `TypeError` for one that has none: the tool would run with other arguments than those
 * that were meant.
 */
export function decisionText(decision: Decision): string {
  const refuse = (path: string, words: string) =>
    new TypeError(`${path === "" ? "the decision" : path}: ${words}`);
  return jsonText(decision, refuse, FRAME_DEPTH - AROUND);
}
