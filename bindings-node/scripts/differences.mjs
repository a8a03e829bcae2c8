/** Compares what a call came to with an entry of `EXPECTED.json`, key by key. */

import { isDeepStrictEqual } from "node:util";

/** The codes of calls that ended without the server's word. */
const UNKNOWN_OUTCOMES = new Set([
  "turn_interrupted",
  "turn_timeout",
  "turn_idle_timeout",
  "disconnected",
  "closed",
]);

/** A stop reason, `removed_from_queue`, or `null` when the call ended without the server's word. */
function outcomeOf({ result, error }) {
  if (!error) return result.stopReason;
  if (result?.completedBy === "removed_from_queue") return "removed_from_queue";
  if (result?.completedBy) return result.stopReason;
  return UNKNOWN_OUTCOMES.has(error.code) ? null : `error ${error.code ?? error.message}`;
}

/** How an outcome differs from the expected one; empty when it does not. Only present keys count. */
export function differences(expected, got) {
  const found = [];
  const check = (key, wanted, actual, equal = isDeepStrictEqual(wanted, actual)) => {
    const show = JSON.stringify;
    if (!equal) found.push(`${key}: expected ${show(wanted)}, got ${show(actual)}`);
  };
  const outcome = outcomeOf(got);
  if (expected.outcome !== undefined) check("outcome", expected.outcome, outcome);
  const { result, error } = got;
  if (!result) {
    if (found.length === 0 && expected.outcome !== null) found.push(`no result: ${error?.message}`);
    return found;
  }
  const { joined = false } = expected;
  if (typeof expected.text === "string") {
    const equal = joined ? result.text.endsWith(expected.text) : result.text === expected.text;
    check("text", expected.text, result.text, equal);
  }
  if (typeof expected.text_is_prefix_of === "string") {
    const whole = expected.text_is_prefix_of;
    check("text_is_prefix_of", whole, result.text, whole.startsWith(result.text));
  }
  if (expected.run_ids && !joined) check("run_ids", expected.run_ids, result.runIds);
  if (expected.tool_calls !== undefined && !joined) {
    check("tool_calls", expected.tool_calls, result.toolCalls.length);
  }
  if (expected.merged_with) {
    check("merged_with", [...expected.merged_with].sort(), [...result.mergedWith].sort());
  }
  // A call that ended without the server's word has neither a turn id nor an error of its own.
  if (result.completedBy) {
    if (expected.turn_id !== undefined) check("turn_id", expected.turn_id, result.turnId);
    if (expected.has_error !== undefined) {
      check("has_error", expected.has_error, result.error !== null);
    }
  }
  return found;
}
