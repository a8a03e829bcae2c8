/** What can be set. */

import type { ApprovalHandler } from "./approvals.js";
import {
  check,
  checkedNames,
  checkedObject,
  checkedOptions,
  type Kind,
  type NamesOf,
  show,
  take,
} from "./checks.js";
import { describe } from "./describe.js";
import { InvalidOption, translated } from "./errors.js";
import {
  checkTurnOptions,
  type NativeOptions,
  type NativeReconnect,
  type NativeTurnOptions,
} from "./native.cjs";
import { nativeRecord, type Recorded, type Replay } from "./recording.js";
import { urlText } from "./url.js";

/** How the client lays its sockets (sections 1.1 and 2). */
export type Transport = "auto" | "single" | "split";

/** Which certificates to accept on `wss:` and `https:`. */
export interface TlsOptions {
  /** Certificates to trust instead of the system's: PEM text, or the path of a PEM file. */
  ca?: string | undefined;
  /** Whether the server's certificate is checked; `true` by default. Turn this off only for experiments. */
  rejectUnauthorized?: boolean | undefined;
}

/** How a lost connection is opened again. Times are in milliseconds. */
export interface ReconnectOptions {
  /** After how many failures in a row the client gives up; by default never. */
  maxAttempts?: number | undefined;
  /** The longest wait before the first attempt; 250 by default. It doubles with every further one. */
  baseMs?: number | undefined;
  /** The longest wait before any attempt; 15,000 by default. */
  capMs?: number | undefined;
}

/** How to reach a server. Time limits are in milliseconds. */
export interface AppServerClientOptions extends Recorded {
  /** `ws:`, `wss:`, `http:` or `https:`; an empty path means `/ws`. */
  url: string | URL;
  /**
   * The capability token or signed bearer token, sent as `Authorization: Bearer …` (section 4). If it would
   * cross a network unencrypted, a process warning of type `AppClientInsecureTokenWarning` says so, once for
   * each server.
   */
  authToken?: string | undefined;
  /** Accepted for code written for other clients, and ignored: the engine has its own sockets. */
  WebSocket?: unknown;
  /** The limit for a request that sets none of its own; 30,000 by default. */
  requestTimeoutMs?: number | undefined;
  /** One socket or two; by default the server is asked. */
  transport?: Transport | undefined;
  /** Time from the first packet to the open WebSocket; 10,000 by default. */
  connectTimeoutMs?: number | undefined;
  /** How long the socket may be silent before a ping is sent; 20,000 by default. */
  keepaliveIntervalMs?: number | undefined;
  /**
   * How long this ping may stay unanswered before the connection is considered lost; 20,000 by default. After
   * the machine has slept, the server is pinged at once and has 5 s to answer. Time asleep does not count
   * towards any time limit.
   */
  keepaliveTimeoutMs?: number | undefined;
  /** The largest message in either direction, in bytes; 100 MiB by default, which is the server's own limit. */
  maxMessageBytes?: number | undefined;
  /**
   * How many requests and turns may wait at once; 10,000 by default. Further ones reject with
   * {@link TooManyRequests} without sending anything.
   */
  maxPendingRequests?: number | undefined;
  /** Which certificates to accept. */
  tls?: TlsOptions | undefined;
  /**
   * How long to wait before an input on a runtime whose turn has just ended, because the server is
   * still cleaning up (section 18); 400 by default.
   */
  settlePauseMs?: number | undefined;
  /**
   * How many calls of external tools run at once; further ones wait (section 14). 16 by default.
   */
  externalToolConcurrency?: number | undefined;
  /**
   * How long a call of an external tool may take before the engine answers it with an error; 290,000 by
   * default, a little less than the server waits (section 14). Where no handler and no session has tools, calls
   * are left to whoever answers them by hand, and have no limit here.
   */
  externalToolTimeoutMs?: number | undefined;
  /**
   * Whether a lost connection is opened again, and how; `true` by default. Runtimes that this client had
   * started are started again with their tools, others are subscribed to again, and watched files are watched
   * again. Commands are never repeated: what was in flight rejects. The client gives up when the server refuses
   * the token, or after `maxAttempts` failures. A first connection that fails is not retried.
   */
  reconnect?: ReconnectOptions | boolean | undefined;
  /**
   * Whether to keep a second connection to the same server, which takes over when the first one is lost;
   * `false` by default. A running turn then goes on, whereas the server cancels a turn that nobody watches any
   * more (sections 7 and 16). The second connection sends a `sync` for each runtime, and every event crosses
   * the network twice; one copy is used. When a connection is lost, the program sees `onDisconnect` with
   * `willReconnect`, and the states `reconnecting` and `open` right after each other. Requests in flight
   * reject, running terminals and external tools end, external tools are registered again, and inputs that had
   * not begun are looked for. `stats.standby` tells whether the second connection is ready. If one is lost
   * before that, or both are lost, it is the same as without a standby. There is no standby with
   * `reconnect: false`, nor on a server with split channels, which accepts only one client.
   */
  standby?: boolean | undefined;
}

/** What every async method takes. */
export interface CallOptions {
  /**
   * Cancels the call, which then rejects with {@link AbortError}, whose `cause` is the signal's reason. `null`
   * means no signal.
   */
  signal?: AbortSignal | null | undefined;
}

/** What every request takes. */
export interface RequestOptions extends CallOptions {
  /** The time limit in milliseconds; by default the client's `requestTimeoutMs`. `Infinity` means no limit. */
  timeoutMs?: number | undefined;
}

/** What happens to permissions for which there is no handler; see {@link RunTurnOptions}. */
export type Approvals = "pause" | "wait" | "deny" | "ask_or_deny" | "raise";

/** Whether an input that was lost with its connection is sent again; see {@link RunTurnOptions}. */
export type Resend = "if_uncommitted" | "never";

/** How long a turn may take and what ends it. Times are in milliseconds; `Infinity` means no limit. */
export interface RunTurnOptions extends CallOptions {
  /** The limit for the whole turn; none by default. */
  timeoutMs?: number | undefined;
  /** How long the runtime may be silent while the model is at work; 600,000 by default. */
  idleTimeoutMs?: number | undefined;
  /** How long the runtime may be silent while a tool runs; 3,600,000 by default. */
  toolTimeoutMs?: number | undefined;
  /** How long a permission may stay undecided; no limit by default, because a person may have to decide. */
  approvalTimeoutMs?: number | undefined;
  /** How long to wait for the end of a turn that was told to stop; 2,000 by default. */
  abortGraceMs?: number | undefined;
  /**
   * How long the server may take to show any sign of the input; 30,000 by default. After that the turn rejects
   * with {@link TurnInterrupted}; the input may still have arrived.
   */
  acceptTimeoutMs?: number | undefined;
  /**
   * How long a turn whose connection was lost waits for the next connection and for what the server has stored
   * of the turn; 30,000 by default, 0 to not wait at all. A turn that goes on there, because somebody else
   * watches it, is followed to its end.
   */
  recoverTimeoutMs?: number | undefined;
  /**
   * What to do with an input that was lost with its connection (section 16). `if_uncommitted`, the default of
   * {@link Session.run}: it is sent again once the stored conversation, read on the next connection, proves
   * that it had not arrived. `never`, the default everywhere else: the turn rejects with
   * {@link TurnInterrupted}, whose `result.delivery` says whether the input arrived.
   */
  resend?: Resend | undefined;
  /**
   * What to do when the turn needs a permission (section 13). Except with `deny`, a handler registered with
   * `onApprovalRequest` decides; this option says what happens if there is none. `pause`: the
   * call resolves with `stopReason: "requires_approval"`, and the turn goes on once somebody answers; until then the
   * conversation's next inputs wait behind the question. `wait`:
   * the call waits until somebody answers with `input`, for example from an `onMessage` handler, and goes on to
   * the turn's end. `deny`: the permission is denied with a reason, and the turn goes on. `ask_or_deny`: denied as
   * well, but only where there is no handler. `raise`: like `pause`, but the call rejects with
   * {@link ApprovalRequired}. The default is `pause`, and in a session `ask_or_deny`, where the session's own tools then
   * need no permission.
   */
  approvals?: Approvals | undefined;
  /**
   * Decides on this turn's permissions, one after the other, instead of `approvals` and the handlers of
   * `onApprovalRequest`.
   */
  onApproval?: ApprovalHandler | undefined;
  /**
   * The names of tools that run in this turn without asking, whatever else decides on permissions. An empty
   * list allows nothing.
   */
  allow?: readonly string[] | undefined;
  /**
   * Whether a turn that did not end normally rejects, with the result in the error; `false` by default, but
   * `true` for {@link Session.run}, unless the session says otherwise. Aborting the turn through its handle gives
   * the result in any case.
   */
  check?: boolean | undefined;
  /** Accepted for code written for other clients and ignored; the engine itself knows which servers need it. */
  allowLoopStatusFallback?: boolean | undefined;
}

/** What the options that the engine gets as they are have to be. */
const KINDS = {
  authToken: "string",
  transport: "string",
  connectTimeoutMs: "number",
  requestTimeoutMs: "number",
  keepaliveIntervalMs: "number",
  keepaliveTimeoutMs: "number",
  maxMessageBytes: "count",
  maxPendingRequests: "count",
  settlePauseMs: "number",
  externalToolConcurrency: "count",
  externalToolTimeoutMs: "number",
  standby: "boolean",
} as const;

const TLS_KINDS = { ca: "string", rejectUnauthorized: "boolean" } as const;

const RECONNECT_KINDS = { maxAttempts: "count", baseMs: "number", capMs: "number" } as const;

/** All options of a client but `url`. */
export const CLIENT_NAMES: NamesOf<Omit<AppServerClientOptions, "url">> = {
  ...KINDS,
  tls: TLS_KINDS,
  reconnect: RECONNECT_KINDS,
  WebSocket: "ignored",
  record: "recorded",
  redact: "recorded",
};

const ALL_CLIENT_NAMES: NamesOf<AppServerClientOptions> = { url: "string", ...CLIENT_NAMES };

/** What a call takes that has no limit of its own. */
export const CALL_NAMES: NamesOf<CallOptions> = { signal: "signal" };

/** What a request takes. */
export const REQUEST_NAMES: NamesOf<RequestOptions> = { timeoutMs: "number", ...CALL_NAMES };

const JUDGED_NAMES = { ...REQUEST_NAMES, predicate: "function" };

/** The engine's form of the options; what only the engine can judge is left to it. */
export function nativeOptions(options: AppServerClientOptions, played?: Replay): NativeOptions {
  const { url: given, tls, reconnect } = checkedOptions(options, ALL_CLIENT_NAMES);
  const url = urlText(given);
  if (typeof url !== "string") {
    throw new InvalidOption(`url: expected a string, got ${typeof url}`);
  }
  const native: NativeOptions = { url };
  take(native, options, KINDS);
  if (tls !== undefined) {
    const given = checkedNames(checkedObject("tls", tls), TLS_KINDS, "tls.");
    take(native, given, TLS_KINDS, "tls.");
  }
  const replay = played && { replay: { path: played.path, ...played.options } };
  Object.assign(native, nativeRecord(options), replay);
  native.reconnect = nativeReconnect(reconnect);
  return native;
}

function nativeReconnect(given: ReconnectOptions | boolean = true): NativeReconnect {
  if (typeof given === "boolean") return { enabled: given };
  if (typeof given !== "object" || given === null) {
    throw new InvalidOption(`reconnect: expected an object or a boolean, got ${show(given)}`);
  }
  const native: NativeReconnect = { enabled: true };
  const { maxAttempts, ...waits } = checkedNames(given, RECONNECT_KINDS, "reconnect.");
  // Without an end, which is how it is anyway.
  const ends = maxAttempts !== Number.POSITIVE_INFINITY;
  take(native, ends ? given : waits, RECONNECT_KINDS, "reconnect.");
  return native;
}

/** A signal as the platform makes them, or none: `null` is none, as it is for `fetch`. */
export function checkedSignal(signal: AbortSignal | null | undefined): AbortSignal | undefined {
  if (signal === undefined || signal === null) return undefined;
  if (typeof signal.addEventListener !== "function") {
    throw new InvalidOption(`signal: expected an AbortSignal, got ${describe(signal)}`);
  }
  return signal;
}

/** The options of a request: whether its answer is judged by the caller says what there may be. */
export function checkedRequest<T extends RequestOptions>(options: T, judged = false): T {
  return checkedOptions(options, judged ? JUDGED_NAMES : REQUEST_NAMES);
}

/** The time limit of a request, for the engine. */
export function nativeTimeout(options: RequestOptions, judged: boolean): number | undefined {
  checkedRequest(options, judged);
  check("timeoutMs", options.timeoutMs, "number");
  return options.timeoutMs;
}

const APPROVALS: readonly unknown[] = [
  "pause",
  "wait",
  "deny",
  "ask_or_deny",
  "raise",
] satisfies Approvals[];

/** The limits of a turn, for the engine; `undefined` where they are its own. */
export function nativeTurnOptions(options: RunTurnOptions): NativeTurnOptions | undefined {
  checkedOptions(options, TURN_NAMES);
  const limits: NativeTurnOptions = {};
  take(limits, options, TURN_KINDS);
  if (options.allow) limits.allow = checkedAllow(options.allow);
  const approvals = approvalsOf(options);
  if (approvals !== undefined) limits.approvals = approvals;
  return Object.keys(limits).length > 0 ? limits : undefined;
}

/**
 * Options of turns that are sent later.
 *
 * @throws {@link InvalidOption} for what none could be sent with.
 */
export function checkedTurnOptions(options: RunTurnOptions): void {
  const limits = nativeTurnOptions(options);
  if (limits) translated(() => checkTurnOptions(limits));
}

/** The names of tools, which one text is not: nobody means its letters. */
export function checkedAllow(names: readonly string[]): string[] {
  if (Array.isArray(names) && names.every((name) => typeof name === "string")) return [...names];
  throw new InvalidOption(`allow: expected a list of names of tools, got ${show(names)}`);
}

const TURN_KINDS = {
  check: "boolean",
  timeoutMs: "number",
  idleTimeoutMs: "number",
  toolTimeoutMs: "number",
  approvalTimeoutMs: "number",
  abortGraceMs: "number",
  acceptTimeoutMs: "number",
  recoverTimeoutMs: "number",
  resend: "string",
} as const satisfies { [Name in keyof RunTurnOptions]: Kind };

/** All options of a turn. */
export const TURN_NAMES: NamesOf<RunTurnOptions> = {
  ...TURN_KINDS,
  ...CALL_NAMES,
  approvals: "word",
  onApproval: "function",
  allow: "names",
  allowLoopStatusFallback: "ignored",
};

/** The engine's name of what is to be done about permissions. */
function approvalsOf({ approvals, onApproval }: RunTurnOptions): string | undefined {
  if (approvals !== undefined && !APPROVALS.includes(approvals)) {
    const expected = '"pause", "wait", "deny", "ask_or_deny" or "raise"';
    const hint = typeof approvals === "function" ? "; `onApproval` takes functions" : "";
    throw new InvalidOption(`approvals: expected ${expected}, got ${show(approvals)}${hint}`);
  }
  if (onApproval === undefined) return approvals;
  if (typeof onApproval !== "function") {
    throw new InvalidOption(`onApproval: expected a function, got ${show(onApproval)}`);
  }
  if (approvals !== undefined) {
    throw new InvalidOption("onApproval: cannot be used together with approvals");
  }
  return "ask";
}
