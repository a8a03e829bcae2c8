/** The engine's names of options and methods in the spelling of this package. */

/** What the engine calls otherwise, at the beginning of a message about an option. */
const OPTION_NAMES: Record<string, string> = {
  token: "authToken",
  connect_timeout: "connectTimeoutMs",
  request_timeout: "requestTimeoutMs",
  keepalive_interval: "keepaliveIntervalMs",
  keepalive_timeout: "keepaliveTimeoutMs",
  max_message_bytes: "maxMessageBytes",
  max_pending_requests: "maxPendingRequests",
  settle_pause: "settlePauseMs",
  timeout: "timeoutMs",
  idle_timeout: "idleTimeoutMs",
  abort_grace: "abortGraceMs",
  accept_timeout: "acceptTimeoutMs",
  recover_timeout: "recoverTimeoutMs",
  tool_timeout: "toolTimeoutMs",
  approval_timeout: "approvalTimeoutMs",
  external_tool_concurrency: "externalToolConcurrency",
  external_tool_timeout: "externalToolTimeoutMs",
  "external_tools.concurrency": "externalToolConcurrency",
  "external_tools.timeout": "externalToolTimeoutMs",
  "reconnect.max_attempts": "reconnect.maxAttempts",
  "reconnect.base": "reconnect.baseMs",
  "reconnect.cap": "reconnect.capMs",
  "record.max_bytes": "record.maxBytes",
  ca: "tls.ca",
  verify: "tls.rejectUnauthorized",
};

/** What hints may name besides: methods. Names of the protocol keep their spelling. */
const METHOD_NAMES: Record<string, string> = {
  submit_input: "submitInput",
  run_turn: "runTurn",
  send_raw: "sendRaw",
  request_raw: "requestRaw",
  next_request_id: "nextRequestId",
};

/** The message of an error about an option, which may say that it has to be at least another one. */
export function messageInOurNames(message: string): string {
  return message
    .replace(
      /^[a-z_.]+(?=:)|(?<=: expected at least )[a-z_.]+/g,
      (name) => OPTION_NAMES[name] ?? name,
    )
    .replace(/(?<=^[\w.]+Ms: expected )a time above zero/, "milliseconds above 0");
}

/** Hints are sentences: only what cannot be an ordinary word in them is a name. */
export function hintInOurNames(hint: string): string {
  return hint
    .replace(/\b[a-z]+(?:_[a-z]+)+\b/g, (name) => METHOD_NAMES[name] ?? OPTION_NAMES[name] ?? name)
    .replace(/`([a-z]+)`/g, (text, name) =>
      OPTION_NAMES[name] ? `\`${OPTION_NAMES[name]}\`` : text,
    )
    .replaceAll("tls.verify", "tls.rejectUnauthorized");
}
