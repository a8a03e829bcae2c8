/** The error of an answer that refuses. */

import { RequestError } from "./errors.js";
import { refusal } from "./native.cjs";

/** The command's name and the server's words, as the engine writes them for all languages. */
export function refused(
  answer: { type: string; error?: string | undefined },
  response: object = answer,
): RequestError {
  const { type, error } = answer;
  return new RequestError(refusal(JSON.stringify({ type, error })), { response });
}
