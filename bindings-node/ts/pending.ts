/** The calls that wait for their completion. */

// Not the global ones, which tests replace by fake timers.
import { clearInterval, setInterval } from "node:timers";
import { describe } from "./describe.js";
import { AbortError, InvalidOption, translated } from "./errors.js";
import { onAbort } from "./signals.js";

/** What a call does with what is delivered for it. */
interface Call {
  resolve(text: string): void;
  reject(error: unknown): void;
  /** Whether a candidate is the answer; may throw. */
  judge: ((text: string) => boolean) | undefined;
  detach(): void;
}

/** How a call is made. */
export interface CallPlan<T> {
  /** Hands the call to the engine; an exception becomes the call's rejection. */
  start(token: number): void;
  /** Turns the delivered text into the result. */
  read(text: string): T;
  signal?: AbortSignal | undefined;
  judge?: ((text: string) => boolean) | undefined;
}

/** The engine's side of a call. */
interface Engine {
  token(): number;
  cancel(token: number): void;
  resolve(token: number): void;
}

/** The longest interval there is; its callback does nothing. */
const IDLE_MS = 2 ** 31 - 1;

/**
 * Keeps the process alive while calls are pending, and only then: the engine's bell does not.
 */
export class PendingCalls {
  readonly #engine: Engine;
  readonly #calls = new Map<number, Call>();
  #alive: NodeJS.Timeout | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Makes a call. A signal that is aborted already lets nothing be sent. */
  make<T>({ start, read, signal, judge }: CallPlan<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (signal !== undefined && typeof signal?.addEventListener !== "function") {
        throw new InvalidOption(`signal: expected an AbortSignal, got ${describe(signal)}`);
      }
      if (signal?.aborted) throw new AbortError(signal.reason);
      const token = this.#engine.token();
      translated(() => start(token));
      const abort = () => {
        this.#take(token);
        this.#engine.cancel(token);
        reject(new AbortError(signal?.reason));
      };
      this.#calls.set(token, {
        resolve: (text) => resolve(read(text)),
        reject,
        judge,
        detach: signal ? onAbort(signal, abort) : () => {},
      });
      this.#alive ??= setInterval(() => {}, IDLE_MS);
      // An `onSend` handler may have aborted it, before there was anything to listen to it.
      if (signal?.aborted) abort();
    });
  }

  /** A call is done. `false` when it has been cancelled meanwhile. */
  resolve(token: number, text: string): boolean {
    const call = this.#take(token);
    call?.resolve(text);
    return call !== undefined;
  }

  /** A call failed. */
  reject(token: number, error: unknown): boolean {
    const call = this.#take(token);
    call?.reject(error);
    return call !== undefined;
  }

  /** A frame carries the id of a call that judges answers itself. */
  offer(token: number, text: string): boolean {
    const call = this.#calls.get(token);
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

  #take(token: number): Call | undefined {
    const call = this.#calls.get(token);
    if (call) {
      this.#calls.delete(token);
      call.detach();
      if (this.#calls.size === 0) {
        clearInterval(this.#alive);
        this.#alive = undefined;
      }
    }
    return call;
  }
}
