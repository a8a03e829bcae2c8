/**
 * The errors of this package: one class for each kind, all with a stable `code`.
 *
 * ```text
 * LettaAppError                  code, retryable, hint
 * ├─ InvalidOption               an option has an unusable value; nothing was sent
 * ├─ ConnectionFailed            the connection could not be opened
 * ├─ AuthError                   the server refused the token
 * ├─ ProtocolMismatch            the server refuses split channels
 * ├─ Disconnected                the connection ended: reason, closeCode, willReconnect
 * ├─ ClientClosed                the client was closed by its owner
 * ├─ RequestError                the server refused: response
 * ├─ RequestTimeout              no answer in time
 * ├─ MessageTooLarge             not sent, because above the limit
 * ├─ InvalidCommand              not sent, because the server would not answer it
 * ├─ UnsupportedByServer         not sent, because the server is too old for it
 * ├─ TooManyRequests             not sent, because more than maxPendingRequests wait
 * ├─ TurnError                   result: what is known of the turn
 * │  ├─ TurnFailed  ├─ TurnAborted  ├─ TurnTimeout  ├─ TurnIdleTimeout
 * │  ├─ ApprovalRequired         a permission is needed, with approvals: "raise": request
 * │  ├─ StructuredOutputError    no result that fits the output schema: text, errors
 * │  └─ TurnInterrupted          the connection ended, or no sign of the input: closeCode
 * ├─ Lagged                      a subscription's reader lagged: droppedCount
 * ├─ ServerStartError            a server of your own did not start: command, exitCode, outputTail
 * ├─ ForkedProcess               the client belongs to a parent process
 * └─ InternalError               a defect of this package
 * ```
 *
 * A cancelled call is none of these: it rejects with {@link AbortError}.
 */

import { ApprovalRequest, type Decision } from "./approvals.js";
import { hintInOurNames, messageInOurNames } from "./names.js";
import type { ControlRequestMessage } from "./protocol.js";
import { type NativeResult, type TurnResult, turnResult } from "./results.js";
import { fromOutside } from "./stacks.js";

/** The engine's form of an error. */
interface NativeError {
  code: string;
  message: string;
  hint: string | null;
  retryable: boolean;
  close_code: number | null;
  will_reconnect: boolean;
  response: string | null;
  result: NativeResult | null;
  problems: string[];
  dropped_count: number | null;
  command: string[];
  exit_code: number | null;
  output_tail: string[];
}

/** What an error may carry besides its message. */
export interface ErrorDetails {
  /** What its user can do about it; it is added to the message. */
  hint?: string | undefined;
  /** Whether the same call may succeed when it is made again; `false` by default. */
  retryable?: boolean | undefined;
  /** The close code of {@link Disconnected} and {@link TurnInterrupted}. */
  closeCode?: number | undefined;
  /** Whether the client reconnects by itself, of the same two; `false` by default. */
  willReconnect?: boolean | undefined;
  /** The server's answer, parsed, of {@link RequestError}. */
  response?: unknown;
  /** What is known of the turn. */
  result?: TurnResult | undefined;
  /** What has led to it, as of every `Error`. */
  cause?: unknown;
  /** What is wrong with the last result, of {@link StructuredOutputError}. */
  errors?: readonly string[] | undefined;
  /** How many messages are missing, of {@link Lagged}; 0 by default. */
  droppedCount?: number | undefined;
  /** The program and its arguments, of {@link ServerStartError}. */
  command?: readonly string[] | undefined;
  /** What it ended with. */
  exitCode?: number | undefined;
  /** The last lines that it printed, the oldest first. */
  outputTail?: readonly string[] | undefined;
}

/** The base of all errors of this package. */
export abstract class LettaAppError extends Error {
  /** The stable name of the kind, the same in all languages. */
  abstract readonly code: ErrorCode;
  /**
   * Whether the same call may succeed when it is made again. It is `true` for a {@link Disconnected} or
   * {@link TurnInterrupted} if nothing was sent, or the input has not arrived, and the client reconnects by itself. It
   * is also `true` for a {@link RequestTimeout}, although the request may have been carried out: if it creates
   * something, that may then exist twice.
   */
  readonly retryable: boolean;
  /** What you can do about it; this is part of `message` too. */
  readonly hint: string | undefined;
  /** What is known of the turn, if the call was a turn. */
  readonly result: TurnResult | undefined;

  constructor(message: string, details: ErrorDetails = {}) {
    const cause = details.cause === undefined ? undefined : { cause: details.cause };
    super(details.hint === undefined ? message : `${message} (${details.hint})`, cause);
    // Not that of the class, which is another one in a program that was made smaller; a program's own class has none.
    const { prototype } = new.target;
    this.name = Object.hasOwn(prototype, "name") ? prototype.name : new.target.name;
    this.hint = details.hint;
    this.retryable = details.retryable ?? false;
    this.result = details.result;
  }
}

/**
 * An option is unknown or has an unusable value (URL, token, limits). Nothing was sent; the message begins with
 * its name.
 */
export class InvalidOption extends LettaAppError {
  readonly code = "invalid_option" as const;
}

/** The connection could not be opened: refused, not found, handshake too slow. */
export class ConnectionFailed extends LettaAppError {
  readonly code = "connection_failed" as const;
}

/** The server refused the token (HTTP 401 or 403, section 4). */
export class AuthError extends LettaAppError {
  readonly code = "auth" as const;
}

/**
 * The server has one socket for everything and refuses split channels (HTTP 426), which happens only with
 * `transport: "split"`. What is no App Server at all is a {@link ConnectionFailed}.
 */
export class ProtocolMismatch extends LettaAppError {
  readonly code = "protocol_mismatch" as const;
}

/** There is no connection, or it ended; the outcome of what was in flight is unknown. */
export class Disconnected extends LettaAppError {
  readonly code = "disconnected" as const;
  /** What happened, in words; the message without the hint. */
  readonly reason: string;
  /** The WebSocket close code, 1006 where there was no close frame. */
  readonly closeCode: number | undefined;
  /** Whether the client reconnects by itself. */
  readonly willReconnect: boolean;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details);
    this.reason = message;
    this.closeCode = details.closeCode;
    this.willReconnect = details.willReconnect ?? false;
  }
}

/** The client was closed by its owner. */
export class ClientClosed extends LettaAppError {
  readonly code = "closed" as const;
}

/** The server answered a request with a refusal, or its answer lacks what was asked for. */
export class RequestError extends LettaAppError {
  readonly code = "request" as const;
  /** The server's answer, parsed. */
  readonly response: unknown;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details);
    this.response = details.response;
  }
}

/** No answer came within the time limit. The request may have been carried out. */
export class RequestTimeout extends LettaAppError {
  readonly code = "request_timeout" as const;
}

/** The message is larger than `maxMessageBytes`. It was not sent. */
export class MessageTooLarge extends LettaAppError {
  readonly code = "message_too_large" as const;
}

/** The command is malformed; the message names the field. It was not sent (section 5.1). */
export class InvalidCommand extends LettaAppError {
  readonly code = "invalid_command" as const;
}

/** The server is too old for the command, and would not answer it. It was not sent (sections 1 and 5). */
export class UnsupportedByServer extends LettaAppError {
  readonly code = "unsupported_by_server" as const;
}

/** More requests and turns are waiting than `maxPendingRequests` allows; nothing was sent. */
export class TooManyRequests extends LettaAppError {
  readonly code = "too_many_requests" as const;
}

/** The base of the errors that end a turn. */
export abstract class TurnError extends LettaAppError {}

/** The turn ended with an error. */
export class TurnFailed extends TurnError {
  readonly code = "turn_failed" as const;
}

/** The turn was stopped, or its input was removed from the queue before it started. */
export class TurnAborted extends TurnError {
  readonly code = "turn_aborted" as const;
}

/** The turn's total time limit passed. */
export class TurnTimeout extends TurnError {
  readonly code = "turn_timeout" as const;
}

/** Nothing was heard of the turn for as long as its idle limit. */
export class TurnIdleTimeout extends TurnError {
  readonly code = "turn_idle_timeout" as const;
}

/**
 * The connection ended during the turn, or the server has shown no sign of its input (`acceptTimeoutMs`); the
 * turn's outcome is unknown (section 16).
 */
export class TurnInterrupted extends TurnError {
  readonly code = "turn_interrupted" as const;
  /** The WebSocket close code. */
  readonly closeCode: number | undefined;
  /** Whether the client reconnects by itself; the turn is not sent again. */
  readonly willReconnect: boolean;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details);
    this.closeCode = details.closeCode;
    this.willReconnect = details.willReconnect ?? false;
  }
}

/**
 * The turn needs a permission, and was sent with `approvals: "raise"` (section 13). It waits on the server, and
 * goes on once you answer the request, with {@link respond} or an `input`.
 */
export class ApprovalRequired extends TurnError {
  readonly code = "approval_required" as const;
  /** The permission that is wanted. */
  readonly request: ApprovalRequest;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details);
    const frame = details.result?.terminalMessage ?? {};
    this.request = new ApprovalRequest(frame as ControlRequestMessage);
  }

  #answer: ((decision: Decision) => void) | undefined;

  /** @internal */
  answeredBy(answer: (decision: Decision) => void): this {
    this.#answer = answer;
    return this;
  }

  /**
   * Answers the request, and the turn goes on; nobody here follows it from then on. Sends `input` with an
   * `approval_response` (section 13) and does not wait for anything. To learn of the turn's end, use an
   * `onMessage` handler.
   *
   * What the turn asks later goes to the client's handler (`onApprovalRequest`). Without one it waits until another
   * input is queued behind it, and is then decided as that input's own would be. This request is left to you: inputs
   * behind it wait, up to their `idleTimeoutMs`.
   *
   * Throws {@link InvalidOption} if no turn of this client has rejected with this error, and
   * {@link Disconnected} when there is no connection.
   */
  respond(decision: Decision): void {
    if (!this.#answer) {
      throw new InvalidOption("respond: no turn has rejected with this error");
    }
    this.#answer(decision);
  }
}

/**
 * The agent submitted no result that fits the output schema, although it was asked twice. Or the schema itself has
 * failed: then the `cause` is what its validation has thrown, and the agent was not asked again.
 */
export class StructuredOutputError extends TurnError {
  readonly code = "structured_output" as const;
  /**
   * What is wrong with the last result, each beginning with its field; empty if there was none, or nobody could judge it.
   */
  readonly errors: readonly string[];

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details);
    this.errors = details.errors ?? [];
  }

  /** What the agent said instead. */
  get text(): string {
    return this.result?.text ?? "";
  }
}

/** A subscription with `overflow: "raise"` ended because its reader did not keep up. */
export class Lagged extends LettaAppError {
  readonly code = "lagged" as const;
  /** How many messages are missing. */
  readonly droppedCount: number;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details);
    this.droppedCount = details.droppedCount ?? 0;
  }
}

/** A server of your own did not start; the message ends with what it printed last. */
export class ServerStartError extends LettaAppError {
  readonly code = "server_start" as const;
  /** The program and its arguments, as you gave them. */
  readonly command: readonly string[];
  /**
   * What it ended with. On Unix it is 127 if there is no such program, and 128 more than the number of the signal if
   * one ended it, as 137 if it was killed. `undefined` if it ran until it was ended from here.
   */
  readonly exitCode: number | undefined;
  /** The last lines that it printed, the oldest first. */
  readonly outputTail: readonly string[];

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details);
    this.command = details.command ?? [];
    this.exitCode = details.exitCode;
    this.outputTail = details.outputTail ?? [];
  }
}

/** The client belongs to a parent process. */
export class ForkedProcess extends LettaAppError {
  readonly code = "forked_process" as const;
}

/** A defect of this package. Please report it. */
export class InternalError extends LettaAppError {
  readonly code = "internal" as const;
}

/**
 * The class of each kind, by code and with its name: a program that was made smaller has other names for its classes.
 */
const KINDS = {
  invalid_option: { InvalidOption },
  connection_failed: { ConnectionFailed },
  auth: { AuthError },
  protocol_mismatch: { ProtocolMismatch },
  disconnected: { Disconnected },
  closed: { ClientClosed },
  request: { RequestError },
  request_timeout: { RequestTimeout },
  message_too_large: { MessageTooLarge },
  invalid_command: { InvalidCommand },
  unsupported_by_server: { UnsupportedByServer },
  too_many_requests: { TooManyRequests },
  turn_failed: { TurnFailed },
  turn_aborted: { TurnAborted },
  turn_timeout: { TurnTimeout },
  turn_idle_timeout: { TurnIdleTimeout },
  turn_interrupted: { TurnInterrupted },
  approval_required: { ApprovalRequired },
  structured_output: { StructuredOutputError },
  lagged: { Lagged },
  server_start: { ServerStartError },
  forked_process: { ForkedProcess },
  internal: { InternalError },
};

type ClassOf<Named> = Named[keyof Named];

/** The class of each kind, by code. */
export const ERROR_CLASSES = Object.fromEntries(
  Object.entries(KINDS).map(([code, named]) => [code, Object.values(named)[0]]),
) as { readonly [Code in keyof typeof KINDS]: ClassOf<(typeof KINDS)[Code]> };

for (const named of [{ LettaAppError }, { TurnError }, ...Object.values(KINDS)]) {
  for (const [name, Class] of Object.entries(named)) Class.prototype.name = name;
}

/** The codes of all kinds. */
export type ErrorCode = keyof typeof ERROR_CLASSES;

/** Any error of this package but {@link AbortError}. `switch (error.code)` tells the kinds apart, for TypeScript too. */
export type AnyLettaAppError = InstanceType<(typeof ERROR_CLASSES)[ErrorCode]>;

/** Marks the errors. Another copy of this package, which a program may have as well, has other classes. */
const MARK = Symbol.for("@letta/app-client-native.LettaAppError");

Object.defineProperty(LettaAppError.prototype, MARK, { value: true });

/**
 * Whether it is an error of this package, as the union of all kinds; {@link AbortError} is none of them. Unlike
 * `instanceof`, it knows those of other copies of the package as well, which a program has after a hot reload or in
 * Jest.
 */
export function isLettaAppError(value: unknown): value is AnyLettaAppError {
  return typeof value === "object" && value !== null && MARK in value;
}

/** The message of an error without its hint. */
export function reasonOf({ message, hint }: LettaAppError): string {
  return hint === undefined ? message : message.slice(0, -` (${hint})`.length);
}

/** A call was cancelled through its `signal`; `cause` is the signal's reason. */
export class AbortError extends Error {
  /** The name that the platform's own has. */
  override readonly name = "AbortError";
  /** The code that Node's own has: the same for all of them, and none of {@link ErrorCode}. */
  readonly code = "ABORT_ERR";

  constructor(reason: unknown) {
    super("The operation was aborted", { cause: reason });
  }
}

/** The error that the engine's JSON stands for, with the result of its turn where it is known here. */
export function errorFromJson(json: string, result?: TurnResult): LettaAppError {
  const error = JSON.parse(json) as NativeError;
  const Class = ERROR_CLASSES[error.code as ErrorCode] ?? InternalError;
  const ofOption = Class === InvalidOption || Class === TooManyRequests;
  const message = ofOption ? messageInOurNames(error.message) : error.message;
  return new Class(message, {
    hint: error.hint === null ? undefined : hintInOurNames(error.hint),
    retryable: error.retryable,
    closeCode: error.close_code ?? undefined,
    willReconnect: error.will_reconnect,
    response: error.response === null ? undefined : JSON.parse(error.response),
    result: error.result === null ? result : turnResult(error.result),
    errors: error.problems,
    droppedCount: error.dropped_count ?? undefined,
    command: error.command,
    exitCode: error.exit_code ?? undefined,
    outputTail: error.output_tail,
  });
}

/** Runs a native method and turns its exceptions into the classes above. */
export function translated<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown };
    if (code === "LettaAppError" && typeof message === "string") {
      throw fromOutside(errorFromJson(message));
    }
    throw error;
  }
}
