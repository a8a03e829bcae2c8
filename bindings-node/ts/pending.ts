/** The calls that wait for their completion. */

import { AbortError } from "./errors.js";
import { checkedSignal } from "./options.js";
import { onAbort } from "./signals.js";
import { traced } from "./stacks.js";
import { type Alive, keepAlive, setImmediate } from "./timers.js";

/**
 * How closely a command is looked at: for what the server would not accept (`catalog`), for that and for
 * slips among the names of its fields, or only that it is an object with a `type`.
 */
export type Check = "documented" | "catalog" | "shape" | Completed;

/** The same for what the engine completes, and tells then. */
export type Completed = "opening" | "offer";

/** How the answer to a request is found. */
export interface Expected {
  predicate?: ((message: never) => boolean) | undefined;
  check: Check;
}

/** How a call is made. */
interface Plan {
  /** Hands the call to the engine; may throw what the caller is to get. */
  start(token: number): void;
  signal?: AbortSignal | null | undefined;
  /** Whether a candidate is the answer; may throw. */
  judge?: ((text: string) => boolean) | undefined;
  /** The call was started, and waits no longer, whatever became of it. */
  ended?: ((token: number) => void) | undefined;
}

/** A call whose outcome is a promise. */
export interface CallPlan<T> extends Plan {
  /** Turns the delivered text into the result. */
  read(text: string): T;
}

/** A call, and what it does with what is delivered for it: `resolve` or `reject`, once. */
export interface Call extends Plan {
  resolve(text: string): void;
  reject(error: unknown): void;
  /** It can fetch something before its end. */
  ready?: (() => void) | undefined;
  /** Of a turn: who is told what it came to if it was cancelled, and so rejected, before its end. */
  left?: Outcome | undefined;
}

/** What is told of an end. */
export type Outcome = Pick<Call, "resolve" | "reject">;

/** Whom the end of a turn is told that nobody waits for, and what the turn needs until then. */
interface Left extends Outcome {
  needs?: unknown;
}

/** A call that waits. */
interface Waiting {
  call: Call;
  /** Stops listening to its signal, where it has one. */
  detach: (() => void) | undefined;
}

/** The engine's side of a call. */
interface Engine {
  token(): number;
  cancel(token: number): void;
  abortTurn(token: number): void;
  flush(): void;
  resolve(token: number): void;
}

/** How many clients have calls pending, and what keeps the process alive for them. */
let held = 0;
let alive: Alive | undefined;

/** Keeps the process alive. One for all times and clients: it costs less to stop and go than to be made. */
export function hold(): void {
  held += 1;
  if (held > 1) return;
  if (alive) alive.ref();
  else alive = keepAlive();
}

/** Ends that. */
export function letGo(): void {
  held -= 1;
  if (held === 0) alive?.unref();
}

/**
 * Keeps the process alive while calls are pending, and only then: the engine's bell does not.
 */
export class PendingCalls {
  readonly #engine: Engine;
  readonly #calls = new Map<number, Waiting>();
  /** Turns that were cancelled or detached, until their end; made with the first. They keep nothing alive. */
  #left: Map<number, Left> | undefined;
  #holds = false;
  #flushes = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Makes a call. A signal that is aborted already lets nothing be sent. */
  async make<T>(plan: CallPlan<T>, token = this.#engine.token()): Promise<T> {
    try {
      return await new Promise<T>((resolve, reject) => {
        const { start, signal, judge, ended, read } = plan;
        const done = (text: string) => resolve(read(text));
        this.begin({ start, signal, judge, ended, resolve: done, reject }, token);
      });
    } catch (error) {
      throw traced(error);
    }
  }

  /** The same without a promise: throws what kept the call from being started. */
  begin(call: Call, token = this.#engine.token()): void {
    const signal = checkedSignal(call.signal);
    if (signal?.aborted) throw new AbortError(signal.reason);
    call.start(token);
    if (!this.#holds) {
      this.#holds = true;
      hold();
    }
    const waiting: Waiting = { call, detach: undefined };
    this.#calls.set(token, waiting);
    if (signal === undefined) return;
    const abort = () => {
      this.#take(token);
      this.#leave(token, call.left);
      call.reject(new AbortError(signal.reason));
    };
    waiting.detach = onAbort(signal, abort);
    // An `onSend` handler may have aborted it, before there was anything to listen to it.
    if (signal.aborted) abort();
  }

  /** No call will be made any more. */
  end(): void {
    if (this.#holds) letGo();
    this.#holds = false;
  }

  /**
   * Whether a request is to be held until the loop's turn is over: where several wait, the engine's thread is
   * woken once for those that are made in it. One alone goes out at once.
   */
  hold(): boolean {
    if (this.#calls.size === 0) return false;
    if (!this.#flushes) {
      this.#flushes = true;
      setImmediate(() => {
        this.#flushes = false;
        this.#engine.flush();
      });
    }
    return true;
  }

  /** A turn waits no longer; to its end, of which nobody is told, it keeps what whoever counted its use has. */
  detach(token: number): void {
    const call = this.#take(token);
    if (call?.left === undefined) return;
    const over = () => {};
    this.#left ??= new Map();
    this.#left.set(token, { resolve: over, reject: over, needs: call.left });
  }

  /** A call can fetch something. */
  ready(token: number): void {
    this.#calls.get(token)?.call.ready?.();
  }

  /** A call is done. `false` when it has been cancelled meanwhile. */
  resolve(token: number, text: string): boolean {
    const call = this.#take(token);
    (call ?? this.#takeLeft(token))?.resolve(text);
    return call !== undefined;
  }

  /** A call failed. */
  reject(token: number, error: unknown): boolean {
    const call = this.#take(token);
    (call ?? this.#takeLeft(token))?.reject(error);
    return call !== undefined;
  }

  /** A frame carries the id of a call that judges answers itself. */
  offer(token: number, text: string): boolean {
    const call = this.#calls.get(token)?.call;
    if (!call) return false;
    try {
      if (!(call.judge?.(text) ?? true)) return false;
      this.#engine.resolve(token);
      return this.resolve(token, text);
    } catch (error) {
      this.#engine.resolve(token);
      return this.reject(token, error);
    }
  }

  #leave(token: number, left: Outcome | undefined): void {
    if (left === undefined) {
      this.#engine.cancel(token);
      return;
    }
    this.#left ??= new Map();
    this.#left.set(token, left);
    this.#engine.abortTurn(token);
  }

  #takeLeft(token: number): Outcome | undefined {
    const left = this.#left?.get(token);
    this.#left?.delete(token);
    return left;
  }

  #take(token: number): Call | undefined {
    const waiting = this.#calls.get(token);
    if (!waiting) return undefined;
    const { call, detach } = waiting;
    this.#calls.delete(token);
    detach?.();
    call.ended?.(token);
    if (this.#calls.size === 0) this.end();
    return call;
  }
}
