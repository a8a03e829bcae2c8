/** A conversation with an agent, the way programs use it: ask, follow, stop. */

import { type AuditEntry, audited } from "./audit.js";
import { checkedObject, checkedOptions } from "./checks.js";
import type { AppServerClient } from "./client.js";
import { Context } from "./context.js";
import { STORED_NAMES, type StoredMessagesOptions } from "./conversations.js";
import { Decided } from "./decided.js";
import { absolute, isAt, shown } from "./directory.js";
import { AbortError, InvalidOption, RequestError } from "./errors.js";
import { type Kept, opening, type SessionOptions, type StartFields } from "./opening.js";
import {
  CALL_NAMES,
  type CallOptions,
  checkedAllow,
  checkedSignal,
  type RunTurnOptions,
} from "./options.js";
import type { OutputOf, OutputSchema } from "./outputschema.js";
import { promptPayload } from "./prompts.js";
import type * as wire from "./protocol.js";
import type { Reading } from "./reading.js";
import { refused } from "./refused.js";
import type { TurnResult, Usage } from "./results.js";
import { traced } from "./stacks.js";
import {
  type Conversation,
  isStructured,
  type StructuredOptions,
  type StructuredResult,
  structured,
} from "./structured.js";
import type { Turn } from "./turn.js";
import type { TurnEvents } from "./turniterator.js";
import type { AppServerExternalToolCallHandler, RunTurnCommand } from "./types.js";
import { counted, noUsage, sumUsage } from "./usage.js";

/** A prompt for an agent: text, or the parts of a message's `content` (section 8.1). */
export type Prompt = string | readonly (wire.TextContent | wire.ImageContent)[];

/**
 * Lets go of the conversations and tools of sessions that nobody has any more. Their clients have what does it: held
 * here it would keep a client that is closed, with its handlers and tools, which may have the session.
 */
const gone = new FinalizationRegistry<WeakRef<() => void>>((letGo) => letGo.deref()?.());

/**
 * A conversation with an agent, from {@link AppServerClient.session}. It is a cheap handle: several may exist
 * for one conversation, whose mode, directory and tools are those of all.
 */
export class Session {
  readonly #client: AppServerClient;
  readonly #start: StartFields;
  readonly #turns: RunTurnOptions;
  readonly #open = new Set<Turn>();
  #cwd: string | undefined;
  #cwdIgnored = false;
  #closed = 0;
  #prompts = 0;
  readonly #decided = new Decided();
  #usage = noUsage();
  #given: Kept = {};
  #letGo: () => void = () => {};
  /** Where its tools run: where its latest prompt was sent from. */
  readonly #tools = { context: new Context() };

  /** Agent and conversation, as other commands want them. */
  readonly runtime: wire.RuntimeScope;

  /** Made by {@link AppServerClient.session}. */
  private constructor(
    client: AppServerClient,
    runtime: wire.RuntimeScope,
    start: StartFields,
    turns: RunTurnOptions,
  ) {
    this.#client = client;
    this.runtime = runtime;
    this.#start = start;
    this.#turns = turns;
  }

  /** @internal `take` takes each step: what was sent is not sent again. */
  static async open(
    client: AppServerClient,
    options: SessionOptions,
    take: <T>(step: () => Promise<T>) => Promise<T> = (step) => step(),
  ): Promise<Session> {
    const { start, turns, set, given, signal } = opening(options);
    const response = await take(() => client.held.open(start, { signal }));
    if (!response.success || !response.runtime) throw refused(response);
    const session = new Session(client, response.runtime, start, turns);
    session.#given = given;
    session.#start.mode = session.mode as wire.DevicePermissionMode;
    session.#hold(response.request_id, set.handler);
    const { cwd } = start;
    if (typeof cwd === "string") {
      try {
        await take(() => session.#look(cwd, { signal }));
      } catch (error) {
        await session.close();
        throw error;
      }
    }
    return session;
  }

  /** The agent. */
  get agentId(): string {
    return this.runtime.agent_id;
  }

  /** The conversation. */
  get conversationId(): string {
    return this.runtime.conversation_id;
  }

  /**
   * Which tools run without asking, as this client has last set it for the conversation, through whatever session; of one
   * that no session has open any more, as it was when this one was opened, or last changed by it.
   */
  get mode(): string {
    return this.#client.held.modeOf(this.runtime) ?? this.#start.mode ?? "standard";
  }

  /** The directory the conversation works in; `undefined` when none was asked for here. */
  get cwd(): string | undefined {
    return this.#cwd;
  }

  /**
   * Whether the server has silently kept another directory than the one asked for, because there is no such
   * directory on its machine (section 8); `cwd` is then the one it kept.
   */
  get cwdIgnored(): boolean {
    return this.#cwdIgnored;
  }

  /**
   * Token counts of the turns of this session that have ended, summed. A turn that was cancelled through its `signal`
   * counts once the server has ended it; one that was detached does not.
   */
  get usage(): Usage {
    return { ...this.#usage };
  }

  /**
   * The decisions of the functions and policies given as `onApproval` in this session's turns, in order; see
   * {@link audit}. All others, by a word, by `allow` or by a handler of the client, appear only in the events of
   * the turn. The list holds the latest 4,096, or as many as have arguments of 64 MiB together;
   * `approvalsDropped` counts the others. An {@link audit} keeps all of them.
   */
  get approvals(): readonly AuditEntry[] {
    return this.#decided.entries;
  }

  /** How many decisions are no longer in `approvals`, because there were too many. */
  get approvalsDropped(): number {
    return this.#decided.dropped;
  }

  /**
   * Sends a prompt, and resolves at the turn's end (sections 8.1 and 17). `signal` stops the turn on the
   * server. If the connection is lost, the next one is used to look for the turn in the stored conversation; an
   * input that is proven not to have arrived is sent again: see `resend`.
   *
   * Rejects with {@link TurnFailed}, {@link TurnAborted} or {@link ApprovalRequired} when the turn did not end
   * normally, unless `check` is `false` or `close()` has stopped it; otherwise as
   * {@link AppServerClient.runTurn}.
   */
  run(prompt: Prompt, options?: RunTurnOptions): Promise<TurnResult>;
  /**
   * Asks for a result of a certain form: `output`, typed and validated by `outputSchema`. The agent submits it
   * through an external tool, `submit_result`, which is registered for this prompt alone, needs no permission
   * and is hidden from other turns (section 14). If a result does not fit, the agent is told what is wrong,
   * field by field; if its turn ends without a valid result, there is a second turn, which is the last. The
   * session's other tools stay available. Only one such prompt runs at a time in a conversation; others wait.
   * Each waits until nothing else runs there, because the server would otherwise give it the tools of the other
   * turn (section 10). Its limits apply while it waits.
   *
   * On the wire this is `runtime_external_tools_update` before and after, or `runtime_start` if the server is
   * too old for that. `signal` stops the turn on the server and withdraws the tool. The other fields of the
   * result are those of the last turn, except `usage`, which is the sum of both.
   *
   * Rejects with {@link StructuredOutputError}, which has `text`, `errors` and `result`, when no valid result
   * has come, and with the `cause` when the schema's own code has thrown (then the agent is not asked again); with {@link TurnAborted} when `close()` stops it; with {@link InvalidOption}, before anything is
   * sent, for a schema from which no JSON schema can be made; otherwise as without a schema and with `check`.
   */
  run<const Schema extends OutputSchema>(
    prompt: Prompt,
    options: StructuredOptions<Schema>,
  ): Promise<StructuredResult<OutputOf<Schema>>>;
  async run(prompt: Prompt, options: RunTurnOptions | StructuredOptions = {}): Promise<TurnResult> {
    if (isStructured(options)) return await structured(this.#conversation, prompt, options);
    const own: RunTurnOptions = options;
    const check = own.check ?? this.#turns.check ?? true;
    const resend = own.resend ?? this.#turns.resend ?? "if_uncommitted";
    try {
      return await this.#begin(this.#command(prompt), { ...own, check, resend }).leaveEvents();
    } catch (error) {
      throw traced(error);
    }
  }

  /**
   * Sends a prompt and returns the turn at once; see {@link AppServerClient.sendTurn}. If another turn is
   * running, the server queues this one. Awaiting the turn gives its result however it ends, unless it is
   * interrupted or reaches a limit, or `check` or `approvals: "raise"`, here or in the session, make an error of its
   * end.
   */
  send(prompt: Prompt, options: RunTurnOptions = {}): Turn {
    checkedObject("options", options);
    if ("outputSchema" in options && options.outputSchema !== undefined) {
      throw new InvalidOption("outputSchema: only run and map wait for such a result");
    }
    return this.#begin(this.#command(prompt), options);
  }

  /** @internal How many prompts it has sent, or tried to. */
  get prompts(): number {
    return this.#prompts;
  }

  #begin(command: RunTurnCommand, options: RunTurnOptions): Turn {
    this.#prompts += 1;
    const turn = this.#client.sendTurn(command, this.#settings(options));
    this.#tools.context.end();
    this.#tools.context = new Context();
    this.#open.add(turn);
    const count = (usage: Usage) => {
      this.#usage = sumUsage(this.#usage, usage);
    };
    const ended = (result?: TurnResult) => {
      this.#open.delete(turn);
      count(counted(result));
    };
    // One that is cancelled rejects at once, and ends later.
    turn.countLeft(count);
    turn.whenOver({
      resolve: ended,
      reject: (error) => ended((error as { result?: TurnResult }).result),
    });
    return turn;
  }

  /**
   * Sends a prompt and iterates over the turn's events as they happen; the last is `finished`. Leaving the loop
   * stops the turn on the server. The iterator can also be turned into a web stream: `toReadableStream()`,
   * `toUIMessageStream()`.
   */
  stream(prompt: Prompt, options: RunTurnOptions = {}): TurnEvents {
    return this.send(prompt, options)[Symbol.asyncIterator]();
  }

  /** Sends a prompt and iterates over the agent's text as it comes; see {@link Turn.textStream}. */
  textStream(prompt: Prompt, options: RunTurnOptions = {}): Reading<string> {
    return this.send(prompt, options).textStream();
  }

  /**
   * Stops whatever is running in the conversation, even if others started it: `abort_message` (section 15).
   * Resolves with whether there was something to stop.
   */
  async abort(options: CallOptions = {}): Promise<boolean> {
    const response = await this.#client.abort({ runtime: this.runtime }, options);
    if (!response.success) throw refused(response);
    return response.aborted;
  }

  /**
   * The stored messages, newest first, page by page (section 19), or those before one of them; see
   * {@link Conversations.messages}.
   */
  async *messages(
    options: Omit<StoredMessagesOptions, "agentId"> = {},
  ): AsyncGenerator<wire.JsonObject, void> {
    const own = { ...checkedOptions(options, STORED_NAMES), agentId: this.agentId };
    yield* this.#client.conversations.messages(this.conversationId, own);
  }

  /**
   * Copies the conversation into a new one, with the same mode and directory: `conversation_fork`, then
   * `runtime_start`. A session that does not know its directory, because it has asked for none, first asks the
   * server for it (`sync`). `signal` cancels only the copying: the turns of the copy do not have it.
   */
  async fork(options: CallOptions = {}): Promise<Session> {
    const { signal } = checkedOptions(options, CALL_NAMES);
    const call = { signal: checkedSignal(signal) };
    // The server starts a copy in its own directory, not in the one of the conversation.
    const cwd = this.#cwd ?? (await this.#directory(call));
    const command = {
      conversation_id: this.conversationId,
      // Every agent has a conversation of that name.
      ...(this.conversationId === "default" && { body: { agent_id: this.agentId } }),
    };
    const response = await this.#client.conversations.fork(command, call);
    if (!response.success || !response.conversation) throw refused(response);
    return Session.open(this.#client, {
      ...this.#turns,
      ...call,
      agentId: this.agentId,
      conversationId: response.conversation.id,
      cwd,
      ...this.#given,
      mode: this.mode as wire.DevicePermissionMode,
    });
  }

  /** Changes which tools run without asking: `change_device_state`. The server sends no answer. */
  setMode(mode: wire.DevicePermissionMode): void {
    this.#change({ mode });
    this.#start.mode = mode;
  }

  /**
   * Changes the directory (`change_device_state`), and waits until the server shows it. If the server does not
   * show it by itself, it is asked (`sync`) 250 ms after it has handled the change, or 2 s after the change was
   * sent. Rejects with {@link RequestError} when the server has kept another directory. `signal` only ends the
   * wait.
   */
  async setCwd(path: string, options: CallOptions = {}): Promise<void> {
    const wanted = absolute(path);
    const { signal } = checkedOptions(options, CALL_NAMES);
    if (checkedSignal(signal)?.aborted) throw new AbortError(signal?.reason);
    const change = () => this.#change({ cwd: wanted });
    const seen = await shown(this.#client, this.runtime, change, wanted, options);
    if (seen === undefined) {
      await this.#look(wanted, options);
    } else {
      this.#cwd = seen;
      this.#cwdIgnored = false;
    }
    if (this.#cwdIgnored) {
      const kept = JSON.stringify(this.#cwd);
      throw new RequestError(
        `the server has no directory ${JSON.stringify(wanted)} and stays in ${kept}`,
      );
    }
  }

  /**
   * Changes the model by its handle: `update_model`. An unknown handle is accepted, and fails only when it is
   * used (section 19).
   */
  async updateModel(handle: string, options: CallOptions = {}): Promise<void> {
    const command = { runtime: this.runtime, payload: { model_handle: handle } };
    const response = await this.#client.models.update(command, options);
    if (!response.success) throw refused(response);
  }

  /**
   * Stops the turns that were sent through this session and have not ended, and answers its tools no
   * more; the conversation stays, and is not started again after a reconnect, unless another session has it,
   * or a command names it.
   */
  async close(): Promise<void> {
    this.#closed += 1;
    this.#letGo();
    this.#tools.context.end();
    this.#letGo = () => {};
    gone.unregister(this);
    await Promise.allSettled([...this.#open].map((turn) => turn.abort()));
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #toolNames(): string[] {
    return this.#given.tools?.map(({ name }) => name) ?? [];
  }

  /**
   * Its conversation is started again after a reconnect, and its tools are answered, until it is closed, or nobody
   * has it any more; a turn has it until its end.
   */
  #hold(opening: string, handler: AppServerExternalToolCallHandler): void {
    // Made of this alone, for a handler that had the session would keep it for good.
    const tools = this.#tools;
    const here: AppServerExternalToolCallHandler = (call, options) =>
      tools.context.run(() => handler(call, options));
    this.#letGo = this.#client.held.hold(this.runtime, opening, this.#toolNames, here);
    gone.register(this, new WeakRef(this.#letGo), this);
  }

  #command(prompt: Prompt, scopes?: string[]): RunTurnCommand {
    const payload = promptPayload(prompt);
    return {
      runtime: this.runtime,
      payload: { ...payload, ...(scopes && { external_tool_scope_ids: scopes }) },
    };
  }

  /** This session for what needs a tool of its own for a while. */
  get #conversation(): Conversation {
    const closed = () => this.#closed;
    return {
      client: this.#client,
      runtime: this.runtime,
      groups: this.#start.external_tools ?? [],
      allow: this.#turns.allow ?? [],
      get closed() {
        return closed();
      },
      ask: (prompt, settings, scopes) => {
        const resend = settings.resend ?? this.#turns.resend ?? "if_uncommitted";
        return this.#begin(this.#command(prompt, scopes), { ...settings, resend }).leaveEvents();
      },
    };
  }

  /** A prompt's own way to answer permissions stands in for the session's. */
  #settings(own: RunTurnOptions): RunTurnOptions {
    const { approvals, onApproval, ...limits } = this.#turns;
    const decides = own.approvals !== undefined || own.onApproval !== undefined;
    // What is there and undefined must not stand in for what the session says.
    const said = Object.entries(own).filter(([, value]) => value !== undefined);
    const settings: RunTurnOptions = {
      ...limits,
      ...(decides ? {} : { approvals, onApproval }),
      ...Object.fromEntries(said),
    };
    if (settings.onApproval === undefined && settings.approvals === undefined) {
      // Unless the program has a handler nobody is there to ask: what wants a permission is denied then, so
      // that nothing hangs and nothing is accepted silently. Its own tools it wants to be called.
      settings.approvals = "ask_or_deny";
      settings.allow = [...this.#toolNames, ...checkedAllow(settings.allow ?? [])];
    }
    if (typeof settings.onApproval === "function") {
      settings.onApproval = audited(settings.onApproval, (entry) => this.#decided.keep(entry));
    }
    return settings;
  }

  #change(payload: wire.ChangeDeviceStatePayload): void {
    this.#client.send({ type: "change_device_state", runtime: this.runtime, payload });
  }

  /** Takes what the server says of the directory it was asked for. */
  async #look(wanted: string, options: CallOptions): Promise<void> {
    const seen = await this.#directory(options);
    this.#cwd = seen;
    this.#cwdIgnored = seen !== undefined && !isAt(seen, wanted);
  }

  /** Asks for the directory: the snapshot comes before the answer (section 16). */
  async #directory(options: CallOptions): Promise<string | undefined> {
    const { agent_id, conversation_id } = this.runtime;
    let seen: string | undefined;
    const off = this.#client.onMessage((message) => {
      if (message.type !== "update_device_status") return;
      const here =
        message.runtime?.agent_id === agent_id &&
        message.runtime.conversation_id === conversation_id;
      if (here) seen = message.device_status?.current_working_directory ?? seen;
    });
    try {
      await this.#client.sync(
        { runtime: this.runtime, recover_approvals: false, force_device_status: true },
        options,
      );
    } finally {
      off();
    }
    return seen;
  }
}
