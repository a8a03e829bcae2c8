/// <reference lib="esnext.disposable" preserve="true" />
/**
 * A real App Server double on a loopback port, for tests.
 *
 * ```ts
 * import { MockServer, script } from "@letta/app-client-native/testing";
 *
 * await using mock = await MockServer.start([script.turn({ text: "42" })]);
 * // … point your program at mock.url …
 * mock.assertReceived("input", { times: 1 });
 * ```
 *
 * @packageDocumentation
 */

import { checkedOptions, type NamesOf, show } from "./checks.js";
import { InvalidOption, translated } from "./errors.js";
import { jsonText } from "./json.js";
import { MockServer as Native } from "./native.cjs";
import { checkedScript, checkedTurn } from "./scriptchecks.js";

export { errorCodes } from "./native.cjs";
export { Replay, type ReplayEvent, type ReplayOptions, replay } from "./recording.js";

/** The wire behaviour of a server: one socket, or a control and a stream socket (section 1). */
export type Generation = "single" | "split";

/** One tool call of a scripted turn. */
export interface ScriptedCall {
  /** The tool. If a client registered it as an external tool, it is called there. */
  name: string;
  /** The arguments; an empty object by default. */
  input?: unknown;
  /**
   * Ask with a `control_request` first, in the modes `standard` and `acceptEdits` (which lets edits of files run). The
   * program's own tools ask there in any case. `strict` asks for every call; `unrestricted`, the mode of a runtime that
   * was started without one, for `AskUserQuestion` alone.
   */
  needsApproval?: boolean | undefined;
  /** What a tool on the server returns; `ok` by default. */
  result?: string | undefined;
}

/** What one turn of a scripted server does: tool calls first, then reasoning and text. */
export interface ScriptedTurn {
  /** The answer; an array is sent piece by piece. `Hello world` by default. */
  text?: string | string[] | undefined;
  /** The reasoning before the answer. */
  reasoning?: string | string[] | undefined;
  /** Milliseconds before each piece. */
  delayMs?: number | undefined;
  /** Milliseconds over which all pieces are spread evenly instead. */
  spreadMs?: number | undefined;
  /** The tools the model calls, all in one run. */
  toolCalls?: ScriptedCall[] | undefined;
  /** Prompt and completion tokens of every run. */
  usage?: [number, number] | undefined;
  /** The stop reason of the last run; `end_turn` by default, or `error` when there is an error. */
  stopReason?: string | undefined;
  /** The turn ends with this error, after its text. */
  error?: string | undefined;
  /**
   * After its text nothing more comes until the turn is aborted. Without text and reasoning the model never answers, and
   * as on a real server the conversation is stuck: the abort is confirmed, but later inputs stay in the queue.
   */
  hang?: boolean | undefined;
  /** Cut the connection that started the turn after this many pieces of text. */
  disconnectAfter?: number | undefined;
  /** The connection is cut and the input lost on the way; the next one starts the next turn. */
  loseInput?: boolean | undefined;
  /** How many times the model fails before it answers. */
  retries?: number | undefined;
  /** After how many pieces of text the answer breaks off, one number for each time; it is then tried again in another run. */
  cuts?: number[] | undefined;
}

/** What a server tolerates from a client that reads slowly; by default what a real one tolerates (section 2). */
export interface SlowReaderLimits {
  /** With more unsent bytes than this, frames are queued; 512 KiB by default. */
  pauseBytes?: number | undefined;
  /** How many frames are queued at most; 512 by default. */
  maxQueuedFrames?: number | undefined;
  /** The connection ends at this many unsent bytes; 16 MiB by default. */
  maxUnsentBytes?: number | undefined;
  /** The connection ends when the last pong is this many milliseconds ago; 90,000 by default. */
  pongTimeoutMs?: number | undefined;
}

/** A connection that was dropped because its client read too slowly. */
export interface Terminated {
  /** How long it had been open, in milliseconds. */
  afterMs: number;
  /** Which limit it was: `512 frames queued`, `16777216 bytes unsent` or `no pong for 90 s`. */
  reason: string;
}

/** How a scripted server behaves. */
export interface ScriptOptions {
  /** `single` by default. */
  generation?: Generation | undefined;
  /** The bearer token that clients must present. */
  token?: string | undefined;
  /** What the turns do, in order; the last one is repeated. */
  turns?: ScriptedTurn[] | undefined;
  /** Milliseconds between two WebSocket pings; none by default. */
  pingIntervalMs?: number | undefined;
  /**
   * Drop clients that read too slowly or answer no pings, without a close frame; `true` for the limits of
   * a real server. Pings come every 30 s then, unless `pingIntervalMs` says otherwise.
   */
  slowReaderLimits?: boolean | SlowReaderLimits | undefined;
  /** Send `input_accepted` and `turn_finished`; `true` by default. */
  turnEvents?: boolean | undefined;
  /** Say which client messages a run answers; `true` by default. */
  correlation?: boolean | undefined;
  /** The directories there are, besides `/home/user/project`; by default those of this machine with `files`, else every one. */
  directories?: string[] | undefined;
  /** The models that `list_models` returns; without them, `answers` decides. */
  models?: string[] | undefined;
  /** There is a temporary folder, {@link MockServer.folder}, and `read_file` and similar commands work in it. */
  files?: boolean | undefined;
  /**
   * Fields of the successful response to commands, by command type; `null` leaves the answer to the test. They
   * come before what is built in (runtimes, turns, agents and conversations), which does nothing then: of an `input`,
   * which is accepted unless the fields say otherwise, there is no turn. `terminal_spawn` is answered by
   * `terminal_spawned`, or with an `error` by `terminal_exited`. Commands that have no answer are refused.
   */
  answers?: Record<string, unknown> | undefined;
}

/** How long to wait. */
export interface WaitOptions {
  /** Milliseconds; 10,000 by default, `Infinity` for no limit. */
  timeoutMs?: number | undefined;
}

/** The largest number that the native half takes: 49 days in milliseconds. */
const MOST = 2 ** 32 - 1;

function milliseconds<T>(name: string, value: number | undefined, otherwise: T): number | T {
  if (value === undefined || value === null) return otherwise;
  if (typeof value === "number" && value >= 0) return Math.min(Math.ceil(value), MOST);
  throw new InvalidOption(`${name}: expected milliseconds, got ${show(value)}`);
}

function count(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= MOST) return value;
  throw new InvalidOption(`${name}: expected a whole number, 0 or more, got ${show(value)}`);
}

function waitingTime(options: WaitOptions): number {
  return milliseconds("timeoutMs", checkedOptions(options, WAIT_NAMES).timeoutMs, 10_000);
}

const pieces = (text: string | string[] | undefined) => (typeof text === "string" ? [text] : text);

const WAIT_NAMES: NamesOf<WaitOptions> = { timeoutMs: "number" };

const RECEIVED_NAMES: NamesOf<ReceivedOptions> = { times: "whole", fields: "object" };

function nativeTurn(turn: ScriptedTurn): object {
  return withoutNull({
    text: pieces(turn.text),
    reasoning: pieces(turn.reasoning),
    delay_ms: turn.delayMs,
    spread_ms: turn.spreadMs,
    tool_calls: turn.toolCalls?.map(({ needsApproval, ...call }) =>
      withoutNull({ ...call, needs_approval: needsApproval }),
    ),
    usage: turn.usage,
    stop_reason: turn.stopReason,
    error: turn.error,
    hang: turn.hang,
    disconnect_after: turn.disconnectAfter,
    lose_input: turn.loseInput,
    retries: turn.retries,
    cuts: turn.cuts,
  });
}

/** What is left out: JSON has no `undefined`, and the double takes `null` for a value. */
function withoutNull(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));
}

/** What a double is told, once all of it has JSON; a path begins with the name of what it is in. */
function scriptText(prefix: string, value: object): string {
  return jsonText(value, (path, words) => {
    return new InvalidOption(`${`${prefix}${path}`.replace(/\.$/, "")}: ${words}`);
  });
}

function nativeLimits(limits: boolean | SlowReaderLimits | undefined): unknown {
  if (typeof limits !== "object" || limits === null) return limits;
  return withoutNull({
    pause_bytes: limits.pauseBytes,
    max_queued_frames: limits.maxQueuedFrames,
    max_unsent_bytes: limits.maxUnsentBytes,
    pong_timeout_ms: limits.pongTimeoutMs,
  });
}

function nativeScript(options: ScriptOptions): string {
  const fields = {
    generation: options.generation,
    token: options.token,
    turns: options.turns?.map(nativeTurn),
    ping_interval_ms: options.pingIntervalMs,
    slow_reader_limits: nativeLimits(options.slowReaderLimits),
    turn_events: options.turnEvents,
    correlation: options.correlation,
    directories: options.directories,
    models: options.models,
    files: options.files,
    answers: options.answers,
  };
  return scriptText("", withoutNull(fields));
}

/** What {@link MockServer.assertReceived} expects. */
export interface ReceivedOptions {
  /** How many frames; by default at least one. */
  times?: number | undefined;
  /** What the frames contain. */
  fields?: object | undefined;
}

/** Builds what scripted servers do. */
export const script = {
  /** A turn as it is given; it makes lists of turns easier to read. */
  turn: (turn: ScriptedTurn = {}): ScriptedTurn => checkedTurn(turn),
};

/** Those that are not closed: what a test keeps of one may be its address alone. */
const open = new Set<MockServer>();

/**
 * An App Server double. It runs on a thread of its own, so it answers while a test computes. It is there until it is
 * closed, also when nothing refers to it any more, and does not keep the process alive.
 */
export class MockServer {
  readonly #native: Native;

  private constructor(native: Native) {
    this.#native = native;
    open.add(this);
  }

  /**
   * Starts a server that answers commands by itself, with turns from a script.
   *
   * Rejects with `InvalidOption` for a script that cannot be read.
   */
  static async start(options: ScriptOptions | ScriptedTurn[] = {}): Promise<MockServer> {
    const whole = Array.isArray(options) ? { turns: options } : options;
    const text = nativeScript(checkedScript(whole));
    return new MockServer(translated(() => Native.scripted(text)));
  }

  /**
   * Starts a server that repeats a recording and waits where the recorded client sent something.
   *
   * Rejects with `InvalidOption` for a file that cannot be read.
   */
  static async play(
    path: string,
    generation: Generation = "single",
    options: { stepTimeoutMs?: number | undefined } = {},
  ): Promise<MockServer> {
    const { stepTimeoutMs } = checkedOptions(options, { stepTimeoutMs: "number" });
    const limit = milliseconds("stepTimeoutMs", stepTimeoutMs, undefined);
    return new MockServer(translated(() => Native.play(path, generation, limit)));
  }

  /** `ws://127.0.0.1:PORT`. */
  get url(): string {
    return this.#native.url();
  }

  /** The frames that clients have sent, in the order of arrival; text that is not JSON is given as it is. */
  get received(): unknown[] {
    return this.#native.received().map(parsed);
  }

  /** Frames that had no effect: malformed, unknown or not in the recording. */
  get unexpected(): unknown[] {
    return this.#native.unexpected().map(parsed);
  }

  /** What the player of a recording was waiting for when it gave up. */
  get failure(): string | null {
    return this.#native.failure();
  }

  /** How many connections were ever opened. */
  get connections(): number {
    return this.#native.connections();
  }

  /** How many connections are open now. */
  get openConnections(): number {
    return this.#native.openConnections();
  }

  /** The connections that were dropped because of `slowReaderLimits`. */
  get terminated(): Terminated[] {
    return JSON.parse(this.#native.terminated());
  }

  /** The received frames of a type. */
  receivedOf(type: string): Record<string, unknown>[] {
    const isOfType = (frame: unknown) => (frame as { type?: unknown } | null)?.type === type;
    return this.received.filter(isOfType) as Record<string, unknown>[];
  }

  /**
   * Throws unless frames of this type came: at least one, or exactly this many. With `fields`, only frames
   * with these values count; they may contain more, but lists have to be of the same length. The message says
   * where the frames that came differ.
   */
  assertReceived(type: string, options: ReceivedOptions = {}): void {
    const { times, fields = {} } = checkedOptions(options, RECEIVED_NAMES);
    const text = scriptText("fields.", fields);
    if (times !== undefined && times !== null) count("times", times);
    const complaint = translated(() => this.#native.complaint(type, times, text));
    if (complaint !== null) throw new Error(complaint);
  }

  /** The temporary folder of the server's files, with `files: true`; it is removed with the server. */
  get folder(): string {
    const folder = this.#native.folder();
    if (folder === null) throw new Error("there are no files: start the server with files: true");
    return folder;
  }

  /** Resolves when the recording was played to its end or given up; `false` when the time is up. */
  async waitDone(options: WaitOptions = {}): Promise<boolean> {
    const limit = waitingTime(options);
    return called((callback) => this.#native.waitDone(limit, callback));
  }

  /** Resolves when this many frames of a type have come; `false` when the time is up. */
  async waitReceived(type: string, times = 1, options: WaitOptions = {}): Promise<boolean> {
    const limit = waitingTime(options);
    count("times", times);
    return called((callback) => this.#native.waitReceived(type, times, limit, callback));
  }

  /** Sends a frame to all clients; a string is sent as it is. */
  push(frame: string | object): void {
    this.#native.push(typeof frame === "string" ? frame : scriptText("frame.", frame));
  }

  /** Cuts one open connection, counted from 0 in the order in which they were opened. */
  cutConnection(index: number): void {
    this.#native.cutConnection(count("index", index));
  }

  /** Drops all TCP connections now, without a close frame. The port stays open. */
  cutConnections(): void {
    this.#native.cutConnections();
  }

  /**
   * Stops listening and drops all connections, as a server that ends does: until `startAgain()`, connections are
   * refused. The script goes on where it is: what is stored, what was received and the turns to come stay, and turns
   * that run are cancelled with their connections. Resolves after 2 s at most. A server that has stopped is left as
   * it is.
   */
  async stop(): Promise<void> {
    await called((callback) => this.#native.stop(callback));
  }

  /**
   * Listens again at the same address, after `stop()`. A server that listens is left as it is.
   *
   * Rejects with `InvalidOption` when another program has taken the port in the meantime, and when the server is
   * closed or has played its recording.
   */
  async startAgain(): Promise<void> {
    translated(() => this.#native.startAgain());
  }

  /** Drops all connections and frees the port. */
  async close(): Promise<void> {
    await called((callback) => this.#native.close(callback));
    open.delete(this);
  }

  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Fixtures for vitest: `const test = base.extend(fixtures)` has `mock`, a server that answers every turn with
 * `Hello world`, and `startMock`, which starts servers with the arguments of {@link MockServer.start}. They are
 * closed after the test.
 */
export const fixtures = {
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the names of what a fixture needs from it
  mock: async ({}: object, use: (mock: MockServer) => Promise<void>): Promise<void> => {
    const mock = await MockServer.start();
    await use(mock);
    await mock.close();
  },
  // biome-ignore lint/correctness/noEmptyPattern: the same
  startMock: async ({}: object, use: (start: typeof MockServer.start) => Promise<void>) => {
    const started: MockServer[] = [];
    await use(async (options) => {
      const mock = await MockServer.start(options);
      started.push(mock);
      return mock;
    });
    for (const mock of started) await mock.close();
  },
};

/** Resolves when the add-on calls back. */
function called(start: (callback: (happened: boolean) => void) => void): Promise<boolean> {
  return new Promise((resolve) => translated(() => start(resolve)));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
