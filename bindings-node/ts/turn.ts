/// <reference lib="esnext.disposable" preserve="true" />
/** A turn that is under way: awaited, followed, stopped or left alone. */

import {
  AbortError,
  ClientClosed,
  Disconnected,
  LettaAppError,
  TurnInterrupted,
} from "./errors.js";
import { EventQueue, type EventSource } from "./eventqueue.js";
import type { TurnEvent } from "./events.js";
import type { LongText } from "./native.cjs";
import type { Outcome as Told } from "./pending.js";
import type { Reading } from "./reading.js";
import {
  readCounted,
  readResult,
  type TurnResult,
  type TurnStatus,
  type Usage,
} from "./results.js";
import type { Prompt } from "./session.js";
import { rejected } from "./stacks.js";
import { type Pick, type Readable, TurnEvents, TurnIterator } from "./turniterator.js";
import type { UIMessageChunk } from "./uimessages.js";
import { counted } from "./usage.js";

/** How far a turn that has not ended has come. */
export type TurnPhase =
  /** Its input waits until the server has cleaned up after the turn before (section 18). */
  | "settling"
  /** Its input was sent; the server has not said yet what it did with it. */
  | "sent"
  /** Its input waits in the server's queue. */
  | "queued"
  /** The agent works on it. */
  | "running"
  /** It was told to stop, and its end has not come yet. */
  | "stopping"
  /** Its connection was lost; the client is finding out what became of it. */
  | "recovering";

/** The engine's side of a turn. */
export interface TurnEngine extends EventSource {
  /** Gives what leaves a turn, and holds neither the turn nor the client, whose handlers may have the turn. */
  leaving(token: number): () => void;
  /** The outputs that the text of its result goes without; while that is delivered. */
  takeOutputs(token: number): LongText[];
  abortTurn(token: number): void;
  /** Lets the turn go on; its call is not pending any more. */
  detachTurn(token: number): void;
  /** Phase and text; `null` when the turn has ended. */
  turnReport(token: number): string[] | null;
  /** What `Session.run` rejects with, of a turn that the agent did not end itself. */
  unended(result: TurnResult): LettaAppError | undefined;
}

/** What becomes of the call, told once, and that there are events. */
export interface TurnCall extends Told {
  ready(): void;
  /** Who is told of the end of a turn that was cancelled through its `signal`. */
  left: Told;
}

/** What a turn remembers of its input, whose fields the engine has yet to check. */
export interface TurnInput {
  runtime?: { agent_id?: string };
  payload?: { messages?: { content?: Prompt }[] };
}

/** What a turn came to. */
type Outcome = { result: TurnResult } | { error: unknown };

/** Whoever waits for the outcome; one of the two is called. */
interface Waiting {
  resolve(result: TurnResult): void;
  reject(error: unknown): void;
}

function tell(outcome: Outcome, { resolve, reject }: Waiting): void {
  if ("result" in outcome) resolve(outcome.result);
  else reject(outcome.error);
}

/** The engine keeps events until they are taken, also for a handle that nobody has any more. */
const abandoned = new FinalizationRegistry<() => void>((leave) => leave());

const textOf: Pick<string> = (event) => (event.type === "assistant_delta" ? event.text : undefined);

/**
 * One turn, sent with {@link AppServerClient.sendTurn}.
 *
 * Await it for its {@link TurnResult}, as often as you like: it resolves and rejects as
 * {@link AppServerClient.runTurn} does. Iterate over it for its events, before, after or while it is awaited:
 *
 * ```ts
 * const turn = client.sendTurn({ runtime, payload });
 * for await (const event of turn) {
 *   if (event.type === "assistant_delta") process.stdout.write(event.text);
 * }
 * console.log((await turn).usage);
 * ```
 *
 * Events are kept from the moment of sending, at most 65,536 of them or 64 MiB. Above that, neighbouring pieces
 * of one text, or of one call's arguments or output, are merged into one event; if that is not enough, the
 * oldest pieces, outputs, statuses and unknown events are dropped. A `lagged` event counts both. Each event is
 * given once, except `finished`, with which every loop ends; so only one loop or stream reads at a time. A second
 * one may continue where the first has stopped; but a reader that asks while another one waits, or after another
 * has taken over, is rejected with a `TypeError`. For two readers use `toReadableStream().tee()`. When the turn fails, loops throw the error that
 * awaiting throws. Leaving a loop early (`break`, `return`, an exception) stops the turn on the server and
 * waits for its end; awaiting the turn then gives the result, with the status `aborted`.
 *
 * Until it has ended, a turn keeps the process alive. If nothing refers to the handle any more, its turn goes
 * on. The handle is a thenable: an `async` function that returns it returns the result.
 */
export class Turn implements PromiseLike<TurnResult>, AsyncIterable<TurnEvent> {
  readonly #engine: TurnEngine;
  readonly #token: number;
  readonly #events: EventQueue;
  #phase: TurnPhase = "running";
  #outcome: Outcome | undefined;
  #detached = false;
  #waiting: Waiting[] = [];
  #counts: ((usage: Usage) => void) | undefined;

  /** What was said: the content of the input's last message. */
  readonly prompt: Prompt;
  /** The agent that was asked. */
  readonly agentId: string;

  /**
   * Made by {@link AppServerClient.sendTurn}. What `begin` throws is thrown, unless it is how things stand just now: the
   * turn has ended with that.
   */
  constructor(
    engine: TurnEngine,
    token: number,
    begin: (call: TurnCall) => void,
    input: TurnInput = {},
  ) {
    const messages = input.payload?.messages;
    this.prompt = (Array.isArray(messages) && messages.at(-1)?.content) || "";
    this.agentId = input.runtime?.agent_id ?? "";
    this.#engine = engine;
    this.#token = token;
    this.#events = new EventQueue(engine, token);
    const call: TurnCall = {
      resolve: (text) => {
        const { outputs } = this.#events;
        this.#settle({ result: readResult(text, () => engine.takeOutputs(token), outputs) });
      },
      reject: (error) => this.#settle({ error }),
      ready: () => this.#events.ready(),
      left: {
        resolve: (text) => this.#counts?.(readCounted(text)),
        reject: (error) => {
          if (error instanceof LettaAppError) this.#counts?.(counted(error.result));
        },
      },
    };
    try {
      begin(call);
    } catch (error) {
      if (![Disconnected, ClientClosed, AbortError].some((kind) => error instanceof kind))
        throw error;
      this.#settle({ error });
    }
    abandoned.register(this, engine.leaving(token));
  }

  /** What `await` calls: makes a promise of the outcome. */
  // biome-ignore lint/suspicious/noThenProperty: a turn is made to be awaited.
  then<A = TurnResult, B = never>(
    onfulfilled?: ((result: TurnResult) => A | PromiseLike<A>) | null,
    onrejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#promise().then(onfulfilled, onrejected);
  }

  /** As a promise's `catch`. */
  catch<B = never>(
    onrejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<TurnResult | B> {
    return this.#promise().catch(onrejected);
  }

  /** As a promise's `finally`. */
  finally(onfinally?: (() => void) | null): Promise<TurnResult> {
    return this.#promise().finally(onfinally);
  }

  /**
   * The turn's events, the last of which is `finished`. Rejects with what awaiting the turn rejects
   * with. `return` stops the turn; see the class.
   */
  [Symbol.asyncIterator](): TurnEvents {
    return new TurnEvents(this.#events, this.#readable());
  }

  /**
   * The agent's text, piece by piece, and nothing else; the text of a run that is withdrawn later is not taken
   * back. It takes its pieces from the same events as a loop over the turn, and leaving it early stops the turn
   * in the same way.
   */
  textStream(): Reading<string> {
    return new TurnIterator(this.#events, this.#readable(), textOf);
  }

  /**
   * The turn's events as a web stream; the last is `finished`. It takes them from the same events as a loop
   * over the turn, and only when they are asked for. Cancelling it stops the turn and waits for its end, as
   * leaving a loop does.
   *
   * The stream fails with what awaiting the turn rejects with.
   */
  toReadableStream(): ReadableStream<TurnEvent> {
    return this[Symbol.asyncIterator]().toReadableStream();
  }

  /**
   * The turn as a UI message stream of the AI SDK, for `createUIMessageStreamResponse` or `readUIMessageStream`
   * of its package `ai` (5 or 6): what the agent says and thinks, and its tool calls as dynamic tools with
   * their output. Each run is a step. What a withdrawn run said stays, because a chunk cannot be taken back.
   * The stream takes its pieces from the same events as a loop over the turn, and only when they are asked for.
   * Cancelling it stops the turn and waits for its end.
   *
   * The stream never fails. If the turn fails, even if awaiting it would resolve with the status `failed`,
   * the last chunk is `error`, with the error's message as it is. A turn that is stopped ends with an `abort`
   * chunk, any other with `finish`.
   */
  toUIMessageStream(): ReadableStream<UIMessageChunk> {
    return this[Symbol.asyncIterator]().toUIMessageStream();
  }

  /**
   * Stops the turn on the server (`abort_message`, or `remove_queue_item` while it is queued; section 15) and
   * resolves with its result once it has ended, after `abortGraceMs` at the latest. The status is then
   * `aborted`, or whatever the turn had come to by itself. If the server has not said by then where the input
   * is, the status is `disconnected`: nothing could be sent, and the turn is stopped as soon as something can
   * be. A turn that has already ended is left as it is.
   *
   * If the server answers another turn of this client together with this one (`mergedWith`), only this one ends, and
   * nothing is sent: the last of them is the one that stops the server. What other clients, or `client.input`, have
   * put into the same run is aborted with it.
   *
   * Rejects with what awaiting the turn rejects with.
   */
  abort(): Promise<TurnResult> {
    if (this.#open) this.#engine.abortTurn(this.#token);
    return this.#promise();
  }

  /** @internal What `Session.run` rejects with, of a turn that the agent did not end itself. */
  unended(result: TurnResult): LettaAppError | undefined {
    return this.#engine.unended(result);
  }

  /** @internal Told what it came to, at once, before those who await it. */
  whenOver(told: Waiting): void {
    const outcome = this.#outcome;
    if (outcome) tell(outcome, told);
    else this.#waiting.push(told);
  }

  /** @internal Tells what it has used when it ends after it was cancelled, and so rejected without a result. */
  countLeft(counts: (usage: Usage) => void): void {
    this.#counts = counts;
  }

  /** @internal Nobody will follow it: its events need not be kept. */
  leaveEvents(): this {
    this.#events.leave();
    return this;
  }

  /**
   * Lets the turn go on without anybody watching: loops over it end, it does not keep the process alive, and
   * awaiting it rejects with {@link TurnInterrupted}. Sends nothing. The turn has no limits any more. What it
   * allows runs as before, and what it denies is still denied. A permission that its `onApproval` has not yet
   * decided on goes to the client's handlers; if there are none, it waits until another input is queued behind
   * it, and is then decided as that input's own would be. An input that is still waiting is sent all the same,
   * also on the next connection, or when the client is closed; `stats.unsent` counts those that could not be
   * sent. A turn that has ended is left as it is.
   */
  detach(): void {
    if (!this.#open) return;
    this.#detached = true;
    this.#engine.detachTurn(this.#token);
    const words = "the turn was detached, so its outcome is not known here";
    this.#settle({ error: new TurnInterrupted(words) });
  }

  /**
   * How the turn stands: its phase while it is open, its result's status afterwards, `detached` after
   * `detach()`. A turn that failed has the status of what is known of it, or `failed`; one that was
   * cancelled through its `signal` is `aborted`. Takes a few microseconds, for which it blocks.
   */
  get status(): TurnPhase | TurnStatus | "detached" {
    if (this.#detached) return "detached";
    if (!this.#outcome) {
      const [phase] = this.#engine.turnReport(this.#token) ?? [];
      if (phase !== undefined) this.#phase = phase as TurnPhase;
      return this.#phase;
    }
    if ("result" in this.#outcome) return this.#outcome.result.status ?? "failed";
    const { error } = this.#outcome;
    if (error instanceof AbortError) return "aborted";
    return (error instanceof LettaAppError && error.result?.status) || "failed";
  }

  /**
   * A line for people who wonder why the turn does not end, such as `running 94 s; last event 41 s
   * ago: Bash started, …; approval none; queue 1`, or what it came to. Takes a few microseconds, for
   * which it blocks.
   */
  explain(): string {
    const report = this.#open ? this.#engine.turnReport(this.#token)?.[1] : undefined;
    if (report !== undefined) return report;
    if (!this.#outcome) return "about to end";
    if ("error" in this.#outcome)
      return `${this.status}: ${(this.#outcome.error as Error).message}`;
    const { stopReason, durationMs, error } = this.#outcome.result;
    const words = `${this.status} after ${Math.floor(durationMs / 1000)} s; stop reason ${stopReason ?? "unknown"}`;
    return error === null ? words : `${words}; ${error}`;
  }

  /** For `await using`: stops the turn, unless it has ended or is detached, and waits for its end. Never rejects. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }

  get #open(): boolean {
    return this.#outcome === undefined;
  }

  /** Made for each caller, so that a failure nobody asks for is not reported as an unhandled rejection. */
  #promise(): Promise<TurnResult> {
    const outcome = this.#outcome;
    if (!outcome) {
      return new Promise((resolve) => {
        this.#waiting.push({ resolve, reject: (error) => resolve(rejected(error)) });
      });
    }
    return "result" in outcome ? Promise.resolve(outcome.result) : rejected(outcome.error);
  }

  #readable(): Readable {
    return { last: () => this.#last(), stop: () => this.#stop() };
  }

  #last(): TurnEvent | undefined {
    const outcome = this.#outcome;
    if (!outcome || this.#detached) return undefined;
    if ("error" in outcome) throw outcome.error;
    return { type: "finished", result: outcome.result };
  }

  async #stop(): Promise<void> {
    if (!this.#open) return;
    try {
      await this.abort();
    } catch {
      // It has ended; how, is told to those who await it.
    }
  }

  #settle(outcome: Outcome): void {
    this.#outcome = outcome;
    const cancelled = "error" in outcome && outcome.error instanceof AbortError;
    if (cancelled || this.#detached) this.#events.leave();
    else this.#events.end();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const told of waiting) tell(outcome, told);
  }
}
