/** What is said to an agent, checked before anything is made of it. */

import { show } from "./checks.js";
import { InvalidCommand } from "./errors.js";
import type { Prompt } from "./session.js";

/**
 * A text, or a list of parts, which the protocol's catalog judges.
 *
 * @throws {@link InvalidCommand} for anything else.
 */
export function checkedPrompt(prompt: Prompt): Prompt {
  if (typeof prompt === "string" || Array.isArray(prompt)) return prompt;
  throw new InvalidCommand(`prompt: expected text or a list of parts, got ${show(prompt)}`);
}

/** The payload of the `input` that a prompt becomes. */
export function promptPayload(prompt: Prompt) {
  const message = { role: "user" as const, content: checkedPrompt(prompt) };
  return { kind: "create_message" as const, messages: [message] };
}
