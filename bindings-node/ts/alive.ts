/** Keeps the process alive for what was started and is waited for through handlers. */

import { placeOf } from "./filters.js";
import type { WsProtocolMessage } from "./protocol.js";
import { clearTimeout, setTimeout } from "./timers.js";

/** What tells whether a runtime is at work. */
const LOOP_STATUS = placeOf("update_loop_status");
/** What answers an input that has an id. */
const ACCEPTED = placeOf("input_accepted");
/** How far the engine's pause before an input grows by itself (section 18). */
const LONGEST_PAUSE_MS = 2_000;
/** From leaving the engine to the first sign of the server, when all is well. */
const LEAVE_MS = 500;
/** How long a runtime may take to show that it works on an input. */
const START_MS = 30_000;
/** `turn_finished` and the mark of an abort come after the idle status. */
const LINGER_MS = 1_000;
/** The longest time there is. */
const FOREVER_MS = 2 ** 31 - 1;

interface Scoped {
  runtime?: { agent_id?: unknown; conversation_id?: unknown } | undefined;
}

interface Command extends Scoped {
  type?: unknown;
  request_id?: unknown;
}

/** A runtime that was given an input. */
interface Run {
  /** Whether it was seen at work since. */
  busy: boolean;
  /** Runs while the engine may still hold the input back. It counts in any case. */
  leaving?: NodeJS.Timeout | undefined;
  /** The last input: its id, or itself. Its answer says that it has left, and those before it too. */
  last?: unknown;
  /** Runs while the runtime counts as at work. It counts while somebody cares. */
  working?: NodeJS.Timeout | undefined;
}

const keyOf = ({ runtime }: Scoped) =>
  JSON.stringify([runtime?.agent_id, runtime?.conversation_id]);

/**
 * A program may send an `input` and serve the turn in handlers, with no call pending. So a runtime
 * that was given an input here holds the process until it is idle again, for as long as there are
 * handlers. They may come later than the input, and be gone before the turn is over: runtimes are
 * followed with and without them. Without, only the time that an input needs to leave counts.
 */
export class RunningInputs {
  #runs: Map<string, Run> | undefined;
  readonly #anybody: () => boolean;
  readonly #leaveMs: number;
  readonly #begun: () => void;

  /** `anybody` says whether there are handlers to care for a turn; `begun` is told that there is a runtime to follow. */
  constructor(anybody: () => boolean, settlePauseMs = 0, begun: () => void = () => {}) {
    this.#anybody = anybody;
    this.#begun = begun;
    this.#leaveMs = Math.min(Math.max(settlePauseMs, LONGEST_PAUSE_MS) + LEAVE_MS, FOREVER_MS);
  }

  /** Whether there is a runtime to follow. */
  get any(): boolean {
    return (this.#runs?.size ?? 0) > 0;
  }

  /** Whether a message has to be shown to `received`, by the place of its type. */
  follows(place: number): boolean {
    return (place === LOOP_STATUS || place === ACCEPTED) && this.any;
  }

  /** A command was handed to the engine. */
  sent(command: Command): void {
    if (command.type !== "input" || !command.runtime) return;
    const key = keyOf(command);
    this.#runs ??= new Map();
    const run: Run = this.#runs.get(key) ?? { busy: false };
    this.#runs.set(key, run);
    this.#begun();
    clearTimeout(run.leaving);
    run.last = command.request_id ?? command;
    run.leaving = setTimeout(() => {
      run.leaving = undefined;
      this.#forget(key, run);
    }, this.#leaveMs);
    // Behind a turn that is at work it is queued, and that turn may be silent for long.
    if (!run.busy) this.#work(key, run, Math.min(this.#leaveMs + START_MS, FOREVER_MS));
  }

  /** A message came. */
  received(message: WsProtocolMessage): void {
    if (message.type === "input_accepted") this.answered(message);
    if (message.type !== "update_loop_status") return;
    const key = keyOf(message);
    const run = this.#runs?.get(key);
    const status: unknown = message.loop_status?.status;
    if (!run || typeof status !== "string") return;
    if (status !== "WAITING_ON_INPUT") {
      run.busy = true;
      this.#work(key, run, FOREVER_MS);
    } else if (run.busy) {
      run.busy = false;
      this.#work(key, run, LINGER_MS);
    }
    // Idle without having been at work is the end of the turn before, seen after the input was sent.
  }

  /** An input was answered: by a message with its id, or as the request that it was. */
  answered(input: Command): void {
    if (!this.any) return;
    const key = keyOf(input);
    const run = this.#runs?.get(key);
    if (!run?.leaving || run.last !== (input.request_id ?? input)) return;
    clearTimeout(run.leaving);
    run.leaving = undefined;
    this.#forget(key, run);
  }

  /** Handlers came or went. */
  update(): void {
    for (const { working } of this.#runs?.values() ?? []) this.#hold(working);
  }

  /** The connection is gone: nothing will come any more. */
  clear(): void {
    for (const { leaving, working } of this.#runs?.values() ?? []) {
      clearTimeout(leaving);
      clearTimeout(working);
    }
    this.#runs = undefined;
  }

  #work(key: string, run: Run, ms: number): void {
    clearTimeout(run.working);
    run.working = setTimeout(() => {
      run.working = undefined;
      this.#forget(key, run);
    }, ms);
    this.#hold(run.working);
  }

  #hold(timer: NodeJS.Timeout | undefined): void {
    if (this.#anybody()) timer?.ref();
    else timer?.unref();
  }

  #forget(key: string, run: Run): void {
    if (!run.leaving && !run.working) this.#runs?.delete(key);
  }
}
