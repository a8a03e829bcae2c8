/** Many prompts at once, each in a conversation of its own. */

import {
  asError,
  type Batch,
  type BatchItem,
  type BatchProgress,
  checkedObserver,
  tell,
} from "./batch.js";
import { check, checkedOptions, type NamesOf, show } from "./checks.js";
import type { AppServerClient } from "./client.js";
import {
  AbortError,
  type AnyLettaAppError,
  Disconnected,
  type ErrorCode,
  InvalidOption,
  isLettaAppError,
} from "./errors.js";
import { opening, SESSION_NAMES, type SessionOptions } from "./opening.js";
import { checkedSignal } from "./options.js";
import {
  checkOutputOptions,
  OUTPUT_NAMES,
  type OutputOf,
  type OutputSchema,
  outputJsonSchema as writtenSchema,
} from "./outputschema.js";
import { hold, letGo } from "./pending.js";
import { promptPayload } from "./prompts.js";
import type { TurnResult } from "./results.js";
import { type Prompt, Session } from "./session.js";
import { onAbort } from "./signals.js";
import type { StructuredResult } from "./structured.js";
import { clearTimeout, setTimeout } from "./timers.js";
import type { JsonSchema } from "./toolschema.js";
import { noUsage, sumUsage } from "./usage.js";

/** Which agents are asked, and how. Options of sessions and turns apply to each prompt. */
export interface MapOptions<Result extends TurnResult = TurnResult>
  extends Omit<
    SessionOptions,
    "agentId" | "createAgent" | "conversationId" | "createConversation" | "check"
  > {
  /** The ids of the agents; they take turns. */
  agents: readonly string[];
  /** How many prompts are worked on at once; 8 by default. */
  limit?: number | undefined;
  /**
   * Called when a prompt is done. If the function throws, that is reported as a process warning and has no
   * other effect.
   */
  onProgress?: ((progress: BatchProgress<Result>) => void) | undefined;
  /**
   * Whether the first prompt that fails stops the others on the server and makes `map` reject with its error.
   * `false` by default: its item has the error, and the others go on.
   */
  check?: boolean | undefined;
  /** Stops everything on the server. */
  signal?: AbortSignal | null | undefined;
}

/** The same, with a form that each result has to have; see `Session.run`. */
export interface StructuredMapOptions<Schema extends OutputSchema>
  extends MapOptions<StructuredResult<OutputOf<Schema>>> {
  /** What each result has to look like. */
  outputSchema: Schema;
  /** The JSON schema for the model, if the library of `outputSchema` cannot produce one. */
  outputJsonSchema?: JsonSchema | undefined;
}

/** What a session takes, but for whom is asked. */
function mapNames(): NamesOf<StructuredMapOptions<OutputSchema> & MapOptions> {
  const { agentId, createAgent, conversationId, createConversation, ...names } = SESSION_NAMES;
  return {
    ...names,
    agents: "names",
    limit: "whole",
    onProgress: "function",
    ...OUTPUT_NAMES,
  };
}

const NAMES = mapNames();

const DEFAULT_LIMIT = 8;
/** As long as a turn waits for the next connection by default. */
const RECOVER_MS = 30_000;
/** The longest time there is. */
const FOREVER_MS = 2 ** 31 - 1;

/**
 * Sends many prompts, at most `limit` at once, each in a new conversation with one of the agents, which take
 * turns: `runtime_start` and `input` for each (sections 8 and 8.1). Resolves when all are done, with one item
 * for each prompt, in the order of the prompts. A prompt that fails, as `Session.run` does or because its
 * conversation cannot be started, becomes an item with an `error`; the others go on, unless `check` says
 * otherwise. While the client is reconnecting no further prompts begin; this lasts for at most
 * `recoverTimeoutMs`. A prompt that meets the loss of the connection before it was sent waits as well. For a
 * prompt that cannot be sent no conversation is started.
 *
 * ```ts
 * const batch = await map(client, ["a", "b", "c"], { agents: ["agent-1", "agent-2"], limit: 2 });
 * for (const { prompt, result, error } of batch.items) console.log(prompt, error ?? result.text);
 * console.log(batch.usage.totalTokens);
 * ```
 *
 * `signal` stops all running turns on the server and starts no more; `map` then rejects with
 * {@link AbortError}. The conversations stay on the server.
 *
 * With `check` it rejects with the error of the first prompt that fails, once the others have been told to
 * stop. It rejects with {@link InvalidOption} before anything is sent where that is possible, because the
 * options are the same for all prompts; whatever is already running is stopped then. It rejects with
 * {@link InvalidCommand}, before anything is sent, for a `mode` or `fields` with which no conversation could be
 * started; and with {@link ClientClosed} if the client is closed. If it is closed or gives up connecting
 * meanwhile, the items of the other prompts have the error.
 */
export function map<const Schema extends OutputSchema>(
  client: AppServerClient,
  prompts: Iterable<Prompt>,
  options: StructuredMapOptions<Schema>,
): Promise<Batch<StructuredResult<OutputOf<Schema>>>>;
export function map(
  client: AppServerClient,
  prompts: Iterable<Prompt>,
  options: MapOptions,
): Promise<Batch>;
export async function map(
  client: AppServerClient,
  prompts: Iterable<Prompt>,
  options: MapOptions | StructuredMapOptions<OutputSchema>,
): Promise<Batch> {
  const asked = checkedPrompts(prompts);
  const work = new Mapping(client, asked, checkedMapping(client, options));
  return work.run();
}

/** Whether it is an error of a kind, of this copy of the package or of that which has made the client. */
function isOf<Code extends ErrorCode>(
  code: Code,
  error: unknown,
): error is Extract<AnyLettaAppError, { code: Code }> {
  return isLettaAppError(error) && error.code === code;
}

/** A mapping under way. */
class Mapping {
  readonly #client: AppServerClient;
  readonly #prompts: readonly Prompt[];
  readonly #options: MapOptions;
  /** Stops what runs: the caller's signal does, and an option that cannot be used, and with `check` a failure. */
  readonly #stop = new AbortController();
  readonly #items: BatchItem[] = [];
  #usage = noUsage();
  #begun = 0;
  #done = 0;
  /** What concerns all prompts. */
  #failed: { error: unknown } | undefined;
  /** Since when there has been no connection, as far as was seen. */
  #lostAt: number | undefined;

  constructor(client: AppServerClient, prompts: readonly Prompt[], options: MapOptions) {
    this.#client = client;
    this.#prompts = prompts;
    this.#options = options;
  }

  async run(): Promise<Batch> {
    const { signal, limit = DEFAULT_LIMIT } = this.#options;
    if (signal?.aborted) throw new AbortError(signal.reason);
    const off = signal && onAbort(signal, () => this.#stop.abort(signal.reason));
    const count = Math.min(limit, this.#prompts.length);
    const workers = Array.from({ length: count }, () => this.#work());
    const ended = await Promise.allSettled(workers);
    off?.();
    // What has stopped the others, who are only told that everything stops; else the signal.
    if (this.#failed !== undefined) throw this.#failed.error;
    if (ended.some(({ status }) => status === "rejected")) throw new AbortError(signal?.reason);
    return { items: this.#items, usage: this.#usage };
  }

  /** Takes one prompt after the other, until none is left. Rejects with what concerns all of them. */
  async #work(): Promise<void> {
    for (let index = this.#begun++; index < this.#prompts.length; index = this.#begun++) {
      const prompt = this.#prompts[index] as Prompt;
      const agentId = this.#options.agents[index % this.#options.agents.length] as string;
      let item: BatchItem;
      try {
        item = { prompt, agentId, result: await this.#ask(prompt, agentId) };
      } catch (error) {
        if (this.#stop.signal.aborted) throw error;
        if (isOf("invalid_option", error) || this.#options.check === true) {
          this.#failed = { error };
          this.#stop.abort(error);
          throw error;
        }
        item = { prompt, agentId, error: asError(error) };
      }
      this.#items[index] = item;
      this.#done += 1;
      const total = this.#prompts.length;
      tell(this.#options.onProgress, { done: this.#done, total, index, item });
    }
  }

  /**
   * Begins once there is a connection, and again where it was lost before anything was sent: no longer than it would
   * wait for one. `alsoUnknown`: also where nobody knows.
   */
  async #patiently<T>(begin: () => Promise<T>, alsoUnknown = false): Promise<T> {
    let refusedAt: number | undefined;
    for (;;) {
      const isOver = await this.#whileReconnecting();
      try {
        return await begin();
      } catch (error) {
        refusedAt ??= performance.now();
        const goesOn = isOver && performance.now() - refusedAt < this.#patienceMs;
        if (!(goesOn && isOf("disconnected", error))) throw error;
        if (!(error.retryable || (alsoUnknown && error.willReconnect))) throw error;
      }
    }
  }

  get #patienceMs(): number {
    return this.#options.recoverTimeoutMs ?? RECOVER_MS;
  }

  /**
   * A prompt would fail at once while a lost connection is opened again, and so would all behind it. All together wait
   * no longer than a turn would. Resolves with whether it is over.
   */
  async #whileReconnecting(): Promise<boolean> {
    const { signal } = this.#stop;
    while (this.#client.state === "reconnecting" && !signal.aborted) {
      this.#lostAt ??= performance.now();
      const left = this.#patienceMs - (performance.now() - this.#lostAt);
      if (left <= 0) return false;
      let offs: (() => void)[] = [];
      hold();
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, FOREVER_MS));
        const off = () => clearTimeout(timer);
        offs = [off, this.#client.onState(() => resolve()), onAbort(signal, resolve)];
      });
      letGo();
      for (const off of offs) off();
    }
    this.#lostAt = undefined;
    return !signal.aborted;
  }

  async #ask(prompt: Prompt, agentId: string): Promise<TurnResult> {
    const { signal } = this.#stop;
    if (!signal.aborted) this.#checkPrompt(prompt, agentId);
    const options = { ...sessionOptions(this.#options), agentId, signal };
    // A conversation that nobody uses harms nobody.
    const open = <T>(begin: () => Promise<T>) => this.#patiently(begin, true);
    const session = await Session.open(this.#client, options, open);
    try {
      return await this.#patiently(() => this.#run(session, prompt));
    } finally {
      this.#leave(session);
    }
  }

  /** Refuses what a session would, before a conversation is started for it. */
  #checkPrompt(prompt: Prompt, agent: string): void {
    // Every agent has a conversation of that name.
    const runtime = { agent_id: agent, conversation_id: "default" };
    this.#client.checkCommand("input", { runtime, payload: promptPayload(prompt) });
  }

  async #run(session: Session, prompt: Prompt): Promise<TurnResult> {
    const { outputSchema, outputJsonSchema } = this.#options as StructuredMapOptions<OutputSchema>;
    const { signal } = this.#stop;
    if (outputSchema === undefined) return await session.run(prompt, { signal });
    const before = session.prompts;
    try {
      return await session.run(prompt, { outputSchema, outputJsonSchema, signal });
    } catch (error) {
      // Of the second turn: there was a first, which must not be asked again.
      if (!isOf("disconnected", error) || session.prompts - before < 2) throw error;
      const { reason, closeCode, willReconnect, hint } = error;
      throw new Disconnected(reason, { closeCode, willReconnect, hint });
    }
  }

  #leave(session: Session): void {
    this.#usage = sumUsage(this.#usage, session.usage);
    // Nothing is left to stop, only its tools are answered no more.
    void session.close();
  }
}

function checkedPrompts(prompts: Iterable<Prompt>): readonly Prompt[] {
  // A text is an iterable of letters, which nobody means.
  const iterable = typeof prompts === "object" && prompts !== null && Symbol.iterator in prompts;
  if (!iterable)
    throw new InvalidOption(`prompts: expected a list of prompts, got ${show(prompts)}`);
  return [...prompts];
}

function checkedMapping(
  client: AppServerClient,
  options: MapOptions | StructuredMapOptions<OutputSchema>,
): MapOptions {
  const { agents, limit, onProgress, signal, check: checks } = checkedOptions(options, NAMES);
  const named = Array.isArray(agents) && agents.length > 0;
  if (!named || !agents.every((id: unknown) => typeof id === "string" && id !== "")) {
    throw new InvalidOption(`agents: expected ids of agents, got ${show(agents)}`);
  }
  if (limit !== undefined && !(limit >= 1 && (Number.isInteger(limit) || limit === Infinity))) {
    throw new InvalidOption(`limit: expected a whole number above 0, got ${show(limit)}`);
  }
  checkedObserver(onProgress);
  check("check", checks, "boolean");
  checkedSignal(signal);
  checkedSessions(client, options as StructuredMapOptions<OutputSchema>);
  return options as MapOptions;
}

/** What each session would refuse, before there is one: some of them would be started for nothing. */
function checkedSessions(
  client: AppServerClient,
  options: StructuredMapOptions<OutputSchema>,
): void {
  const { agents, outputSchema, outputJsonSchema } = options;
  for (const agentId of new Set(agents)) {
    client.checkCommand("runtime_start", opening({ ...sessionOptions(options), agentId }).start);
  }
  checkOutputOptions(options);
  if (outputSchema !== undefined) writtenSchema(outputSchema, outputJsonSchema);
}

/** What each session takes of the options. */
function sessionOptions(options: StructuredMapOptions<OutputSchema> | MapOptions) {
  const { agents, limit, onProgress, check, outputSchema, outputJsonSchema, ...settings } =
    options as StructuredMapOptions<OutputSchema>;
  return settings;
}
