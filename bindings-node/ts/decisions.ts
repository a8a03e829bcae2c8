/** What approval handlers and rules return, checked. */

import type { Decision } from "./approvals.js";

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
  // By hand it is easily written so, and the server would allow the arguments as they were.
  if (Object.hasOwn(value as object, "updatedInput")) {
    throw new TypeError(
      "updatedInput: on the wire it is updated_input; use allow({ updatedInput })",
    );
  }
  return value as Decision;
}
