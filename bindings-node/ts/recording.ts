/** Recordings of a client's traffic, and recordings in place of a server. */

import { types } from "node:util";
import { checkedNames, checkedOptions, type NamesOf, take } from "./checks.js";
import { describe } from "./describe.js";
import { InvalidOption, translated } from "./errors.js";
import { jsonText } from "./json.js";
import type { Connection, NativeOptions, NativeRecord } from "./native.cjs";
import { replayEvents } from "./native.cjs";
import { isPlainObject } from "./plain.js";
import { setImmediate } from "./timers.js";

/**
 * A recording of everything that goes over a client's sockets: one JSON object per line, with the time, the
 * number of the connection, the direction and the frame. A client can be played with it later
 * ({@link replay}), and it can be sent along with a report.
 *
 * Never written are the token, and the values of an agent's secrets and of a provider's fields, also where
 * they are repeated later. Prompts, answers and files are; take out with `redact` what others must not read.
 * The file is readable for its owner only.
 *
 * The sockets do not wait for the file: it is written by a thread of its own. What comes faster waits, and
 * above 65,536 lines or 64 MiB is left out and counted (`stats.unrecorded`). What cannot be written, because the disk
 * is full, is tried again after a second. The first time that lines are missing, and when the client is closed, a
 * process warning of type `AppClientRecordingWarning` says so. Each line is written at once and as a whole, so a
 * process that dies leaves at most one broken line.
 */
export interface RecordOptions {
  /**
   * The file. One that is there already is moved aside, like a full one, when the first connection is open; one that
   * another recording still writes is refused, as each client needs its own.
   */
  path: string;
  /**
   * When the file is full: it becomes `NAME.1`, that becomes `NAME.2`, and a new one is begun. 256 MiB by
   * default.
   */
  maxBytes?: number | undefined;
  /** How many such older files are kept; 3 by default. */
  maxFiles?: number | undefined;
}

/**
 * Says how a frame is written into a recording: it is given the parsed frame, which it may change, and the
 * direction, and returns what is written, or `null` for nothing. When it throws, or returns what is no plain object,
 * the frame is left out and counted (`stats.unrecorded`); the first time a process warning of type
 * `AppClientRecordingWarning` says why. It cannot be async.
 */
export type Redactor = (
  frame: Record<string, unknown>,
  direction: "send" | "recv",
) => object | null;

/** What both ways to name a recording have in common. */
export interface Recorded {
  /** A file for everything that goes over the sockets. */
  record?: string | RecordOptions | undefined;
  /**
   * What is taken out of a recording besides what always is: names of fields, whose values become
   * `"[redacted]"` (`content` at any depth, or a path from the frame on such as
   * `payload.messages.*.content`), also in texts that are JSON themselves, but not in the pieces in which arguments of
   * tools are streamed: name `arguments` and `tool_args` as well; or a function. It is called on JavaScript's own thread when that has time;
   * until then frames wait, and what waits when the process dies is not written.
   */
  redact?: string[] | Redactor | undefined;
}

/** The engine's form of a recording. */
export function nativeRecord({ record, redact }: Recorded): Partial<NativeOptions> {
  if (redact !== undefined && typeof redact !== "function" && !isNames(redact)) {
    const expected = "a function or names of fields";
    throw new InvalidOption(`redact: expected ${expected}, got ${describe(redact)}`);
  }
  if (types.isAsyncFunction(redact)) {
    // What it returns is no frame yet, and nobody waits for it.
    throw new InvalidOption("redact: expected a function that returns the frame, got an async one");
  }
  if (record === undefined) {
    if (redact === undefined) return {};
    throw new InvalidOption("redact: there is no recording; pass record too");
  }
  const given = typeof record === "string" ? { path: record } : record;
  if (typeof given?.path !== "string") {
    throw new InvalidOption(`record: expected a path or options, got ${describe(record)}`);
  }
  const native: NativeRecord = { path: given.path };
  checkedNames(given, RECORD_NAMES, "record.");
  take(native, given, RECORD_KINDS, "record.");
  if (isNames(redact)) native.fields = redact;
  return { record: native, redacted: typeof redact === "function" };
}

const RECORD_KINDS = { maxBytes: "whole", maxFiles: "count" } as const;

const RECORD_NAMES: NamesOf<RecordOptions> = { path: "string", ...RECORD_KINDS };

const REPLAY_KINDS = { speed: "number", wait: "boolean", stepTimeoutMs: "number" } as const;

function isNames(redact: unknown): redact is string[] {
  return Array.isArray(redact) && redact.every((name) => typeof name === "string");
}

/** The text of what a redactor returned; nothing else than a frame would be one in the recording. */
function textOf(frame: object | null | undefined): string | null {
  if (frame === null || frame === undefined) return null;
  if (isPlainObject(frame)) {
    return jsonText(frame, (path, words) => new InvalidOption(`redact: ${path}: ${words}`));
  }
  // It is told here that it came to nothing, and must not end the process besides.
  if (types.isPromise(frame)) frame.catch(() => {});
  const got = Object.prototype.toString.call(frame).slice("[object ".length, -1);
  throw new InvalidOption(`redact: expected a plain object or null, got ${got}`);
}

/** What is said behind the first failure. */
const NEXT = "; the next ones are only counted (stats.unrecorded)";

/** Reports that a recording lacks lines. */
export function warnOfRecording(text: string): void {
  process.emitWarning(text, { type: "AppClientRecordingWarning" });
}

/** Has a function say how the frames of a connection are written. */
export function serveRecording(native: Connection, redactor: Redactor): void {
  let told = false;
  native.serveRecording((direction, text) => {
    let written: string | null = null;
    let failed = false;
    try {
      written = textOf(redactor(JSON.parse(text), direction as "send" | "recv"));
    } catch (error) {
      // What was not looked at must not be written.
      failed = true;
      if (!told)
        warnOfRecording(
          `the redactor failed, a frame is left out of the recording: ${error}${NEXT}`,
        );
      told = true;
    }
    // With the answer the next frame comes: all else that waits for this thread has its turn before that.
    setImmediate(() =>
      failed ? native.failRecorded() : native.writeRecorded(written ?? undefined),
    );
  });
}

/** How a recording is played. */
export interface ReplayOptions {
  /** 1 for the recorded pace, 2 for twice as fast, 0 (the default) for as fast as it goes. */
  speed?: number | undefined;
  /** `false` for a program that only watches: the frames come whatever it sends. */
  wait?: boolean | undefined;
  /**
   * How long a command of the program is waited for in milliseconds; 30,000 by default. Then the connection
   * ends with code 4000, and the reason names the line of the file.
   */
  stepTimeoutMs?: number | undefined;
}

/** One thing that happened in a recording; see {@link Replay.events}. */
export interface ReplayEvent {
  /** The recording's clock. */
  t_ms: number;
  type: "open" | "closed" | "sent" | "message" | "turn_event" | "turn" | "turn_failed";
  [field: string]: unknown;
}

/** Marks a replay. Another copy of this package, which a program may have as well, has another class. */
const MARK = Symbol.for("@letta/app-client-native.Replay");

/** Whether it is a replay, of whichever copy. */
export function isReplay(value: unknown): value is Replay {
  return typeof value === "object" && value !== null && MARK in value;
}

/** A recording that stands in for a server; {@link replay} makes one. */
export class Replay {
  /** The file, as it was given. */
  readonly path: string;
  /** How it is played: those options that were given. */
  readonly options: Readonly<ReplayOptions>;

  constructor(path: string, options: ReplayOptions) {
    if (typeof path !== "string") {
      throw new InvalidOption(`replay: expected a path, got ${describe(path)}`);
    }
    this.path = path;
    const checked: ReplayOptions = {};
    take(checked, checkedOptions(options, REPLAY_KINDS), REPLAY_KINDS);
    this.options = checked;
    Object.defineProperty(this, MARK, { value: true });
  }

  /**
   * Plays the file through the engine alone, without a socket and without waiting. The list is the same each
   * time, and in all three languages: `open` and `closed` of a connection, `sent` and `message` with a
   * `frame`, and for each input, counted from 1 (`turn`), `turn_event` with an `event` and at the end
   * `turn` with a `result` or `turn_failed` with an `error`.
   *
   * @throws {@link InvalidOption} when the file cannot be read as a recording.
   */
  events(): ReplayEvent[] {
    return JSON.parse(translated(() => replayEvents(this.path)));
  }
}

/**
 * A recording that {@link connect} takes in place of a URL; nothing is sent anywhere.
 *
 * The client has its usual engine and sockets; at their other end, in this process, the file is played line
 * by line. What the server sent up to the recorded program's next command comes at once, or at the
 * recorded pace; then such a command is waited for. So the program that was recorded, or one that does the same,
 * sees the same again. Request ids and client message ids may differ. After the last line the connection
 * ends. Of several clients in a file the first one is played.
 */
export function replay(path: string, options: ReplayOptions = {}): Replay {
  return new Replay(path, options);
}
