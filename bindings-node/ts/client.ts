/// <reference lib="esnext.disposable" preserve="true" />
/** The client. Its methods keep the names and shapes of the TypeScript client of the documentation. */

import { RunningInputs } from "./alive.js";
import type { ApprovalHandler } from "./approvals.js";
import { APPROVAL_NAMES, Approvers } from "./approvers.js";
import { ClientCaller } from "./caller.js";
import { checkedOptions } from "./checks.js";
import { checkedCommand, commandText, typed } from "./commands.js";
import { Deliveries, Kind } from "./deliveries.js";
import { describe } from "./describe.js";
import { DocumentedClient } from "./documented.js";
import { Bell } from "./doorbell.js";
import {
  ApprovalRequired,
  ClientClosed,
  errorFromJson,
  InvalidCommand,
  InvalidOption,
  type LettaAppError,
  translated,
} from "./errors.js";
import type { CommandMap } from "./families.js";
import type { AnsweredType, Caller, CommandType } from "./family.js";
import type { MessageFilter, MessageOf } from "./filters.js";
import { Followers } from "./followers.js";
import { Handlers } from "./handlers.js";
import { HeldRuntimes } from "./held.js";
import { type AppServerChannel, FrameParser } from "./messages.js";
import type { Connection } from "./native.cjs";
import { opened } from "./opened.js";
import type { SessionOptions } from "./opening.js";
import {
  type AppServerClientOptions,
  CALL_NAMES,
  type CallOptions,
  type RequestOptions,
  type RunTurnOptions,
} from "./options.js";
import { PendingCalls } from "./pending.js";
import type * as wire from "./protocol.js";
import type { Replay } from "./recording.js";
import type { TurnResult } from "./results.js";
import { Sending } from "./sending.js";
import type { AppServer } from "./server.js";
import { Session } from "./session.js";
import { ClientSocket } from "./socket.js";
import { fromOutside } from "./stacks.js";
import { Standing } from "./standing.js";
import { MESSAGES_NAMES, MessageStream, type MessagesOptions } from "./stream.js";
import { Subscribers } from "./subscribers.js";
import { TOOL_CALL_NAMES, ToolCalls } from "./tools.js";
import type { Turn } from "./turn.js";
import { Turns } from "./turns.js";
import type * as types from "./types.js";

/**
 * One connection to an App Server.
 *
 * Building it touches no network, so it may be built before the server listens. While it is idle it
 * does not keep the process alive; a pending call does, and so does a runtime that was given an
 * `input`, until it is idle again, while there are handlers of messages, tool calls or permissions. Without
 * handlers an input keeps it for the few seconds in which it may wait to be sent. A program that only
 * listens to what others start needs something else to stay alive.
 *
 * A client stays in memory until it is closed, also one that was never connected.
 *
 * Every method that sends throws, or rejects with, {@link ClientClosed} after `close()`,
 * {@link Disconnected} while there is no connection, {@link InvalidCommand} for a command that the
 * server would answer with silence, and {@link MessageTooLarge}: all before anything is sent. The methods
 * for one command refuse slips of its fields as well (`agentId`); `request` and `send` take any field.
 * Async methods take a `signal`; an aborted one rejects with {@link AbortError}.
 */
export class AppServerClient extends DocumentedClient {
  readonly #bell = new Bell(() => this.#deliveries.ring());
  readonly #native: Connection;
  readonly #calls: PendingCalls;
  readonly #deliveries: Deliveries;
  readonly #frames = new FrameParser();
  readonly #messages: Subscribers;
  readonly #followers: Followers;
  readonly #sending: Sending;
  readonly #standing: Standing;
  readonly #lags: Handlers<[number]>;
  readonly #tools: ToolCalls;
  readonly #approvers: Approvers;
  readonly #turns: Turns;
  readonly #running: RunningInputs;
  #listens = false;
  /** Made when somebody asks for it. */
  #socket: ClientSocket | undefined;
  #closed: Promise<void> | undefined;
  #dropped = 0;
  #handlerErrors = 0;
  readonly #failed = () => {
    this.#handlerErrors += 1;
  };

  /** @internal */
  protected override readonly caller: Caller;
  #held: HeldRuntimes | undefined;

  /** @throws {@link InvalidOption} names the option that cannot be used. */
  constructor(options: AppServerClientOptions, to?: Replay | AppServer) {
    super();
    this.#native = opened(options, to, this.#bell);
    this.#calls = new PendingCalls(this.#native);
    this.#deliveries = new Deliveries(
      () => {
        this.#listen();
        return this.#native.drain();
      },
      (kind, value, text, place) => this.#deliver(kind, value, text, place),
      () => this.#frames.forget(),
    );
    const failed = this.#failed;
    const changed = () => {
      this.#running.update();
      this.#listen();
    };
    this.#running = new RunningInputs(
      () => this.#messages.size > 0 || this.#tools.active || this.#approvers.active,
      options.settlePauseMs,
      () => this.#listen(),
    );
    this.#messages = new Subscribers(failed, changed);
    this.#followers = new Followers(this.#messages);
    this.#sending = new Sending(this.#native, this.#calls, this.#frames, this.#running, failed);
    this.#standing = new Standing(this.#followers, failed);
    this.caller = new ClientCaller(this, this.#sending, this.#followers, this.#standing);
    this.#lags = new Handlers("onLagged", failed);
    this.#tools = new ToolCalls(this.#native, failed, changed);
    this.#approvers = new Approvers(this.#native, failed, changed);
    this.#turns = new Turns(
      this.#native,
      this.#calls,
      this.#approvers,
      (command, send) => this.#sending.hand(command, send),
      (json, result) => this.#failure(json, result),
    );
  }

  /**
   * Connects: asks the server what it is (`GET /app-server-info`), then opens one WebSocket or two (sections
   * 1.1 and 2). Resolves with the client once they are open, or at once if they are open already. Cancelling
   * only stops the wait. A first connection that fails is not retried, and neither is one after the client has
   * given up. While the client is reconnecting, this waits until the connection is open, the client gives up, or
   * `connectTimeoutMs` has passed. Then it rejects with what the last attempt failed with, and the client goes on.
   * While somebody waits, an attempt begins at once, or a second after the last one; these are additional ones and
   * do not count as `maxAttempts`.
   *
   * Rejects with {@link ConnectionFailed}, {@link AuthError} or {@link ProtocolMismatch}, and with
   * {@link ClientClosed}.
   */
  async connect(options: CallOptions = {}): Promise<this> {
    this.#sending.checkOpen();
    const { signal } = checkedOptions(options, CALL_NAMES);
    const start = (token: number) => {
      translated(() => this.#native.connect(token));
      this.#standing.attempt();
    };
    const opens = this.state !== "open";
    const read = () => {
      if (opens) this.#socket?.opened();
      return this;
    };
    // Awaited here and below, so that an error has the frames of whoever has called this.
    return await this.#calls.make({ start, read, signal });
  }

  /**
   * Closes the client for good. Pending calls reject with {@link ClientClosed}, turns with
   * {@link TurnInterrupted}. Resolves when the sockets are closed, after 2 s at most; never rejects.
   *
   * On the server, a turn that was given up just before is stopped. The server cancels the others when the
   * connection ends, unless another client follows their conversation. `session.close()` stops those of the session.
   *
   * What nobody waits for (`send`, `input`, detached turns) and is held back for something else than the pause after
   * a turn is not sent any more. A process warning of type `AppClientUnsentWarning` says how many commands were not sent at
   * all (`stats.unsent`).
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#sending.close();
    this.#running.clear();
    this.#followers.end();
    try {
      await this.#calls.make({
        start: (token) => {
          if (!this.#native.close(token)) throw new ClientClosed("the client is closed");
        },
        read: () => undefined,
      });
    } catch {
      // Nothing is left to close.
    }
    this.#calls.end();
    this.#bell.takeDown();
    for (const its of [this.#messages, this.#lags, this.#tools, this.#approvers]) its.end();
    this.#standing.closed(this.stats);
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * The client in the shape of a socket, for code written for other clients.
   *
   * @deprecated Use the methods of the client.
   */
  get socket(): types.AppServerSocketLike {
    this.#socket ??= new ClientSocket(this, this.#failed);
    return this.#socket;
  }

  /** @deprecated The same as `socket`. */
  get control(): types.AppServerSocketLike {
    return this.socket;
  }

  /** @deprecated The same as `socket`. */
  get stream(): types.AppServerSocketLike {
    return this.socket;
  }

  /** The state of the connection. */
  get state(): types.ClientState {
    return this.#closed ? "closed" : (this.#native.state() as types.ClientState);
  }

  /**
   * What the server said about itself when the client connected (section 3); `null` for a server that does not
   * know the question. {@link AppServerClient.info} asks over the WebSocket.
   */
  get serverInfo(): wire.AppServerInfoResponseMessage | null {
    return JSON.parse(this.#native.info() ?? "null");
  }

  /** Counters of what has come in so far. */
  get stats(): types.ClientStats {
    const counters = this.#native.counters();
    return { ...counters, dropped: this.#dropped, handlerErrors: this.#handlerErrors };
  }

  /**
   * Calls a function for every frame of the server, or for those that a filter selects. It is called
   * synchronously and in order, before the promise that the frame resolves. Frames of types that the filter
   * does not name are not even parsed. A frame of an unknown type is passed on as it is; `rawText(message)`
   * gives its wire text. A handler that throws is reported as a process warning of type
   * `AppClientHandlerWarning` and counted in `stats`; the others still run. Returns a function that removes the
   * handler.
   */
  onMessage<TType extends string>(
    handler: (message: MessageOf<TType>, channel: AppServerChannel) => void,
    filter: MessageFilter<TType> & { types: readonly TType[] },
  ): () => void;
  onMessage(handler: types.AppServerMessageHandler, filter?: MessageFilter): () => void;
  onMessage(handler: (message: never, channel: AppServerChannel) => void, filter?: MessageFilter) {
    return this.#messages.add(handler as types.AppServerMessageHandler, filter);
  }

  /**
   * The frames of the server from now on, or those that a filter selects, for a `for await` loop. The server
   * sends frames of a runtime only to connections that started it or asked for it: to watch what another client
   * does, send `sync` first (section 16). At most `limit` frames and `maxBytes` wait to be read. Above that the
   * oldest are dropped, but never a `turn_finished`, a `terminal_exited`, a `control_request` or an
   * `external_tool_call_request`; `dropped` counts them, and a process warning of type `AppClientLagWarning`
   * says so once. With `overflow: "raise"` the loop rejects with {@link Lagged} instead, after the frames that
   * had come. It ends with `close()`.
   *
   * The loop goes on when a lost connection is opened again. If it is not, the loop rejects with
   * {@link Disconnected}, after the frames that came before; so does one that begins after that, unless `connect()` was
   * called and has not failed, and one that waits when the first `connect()` fails. It rejects with {@link AbortError} when it is cancelled,
   * and with {@link ClientClosed} at its first step if the client was closed before. Throws
   * {@link InvalidOption}.
   */
  messages<TType extends string>(
    options: MessagesOptions<TType> & { types: readonly TType[] },
  ): MessageStream<MessageOf<TType>>;
  messages(options?: MessagesOptions): MessageStream<wire.WsProtocolMessage>;
  messages(options: MessagesOptions = {}): MessageStream<never> {
    return new MessageStream(this.caller, checkedOptions(options, MESSAGES_NAMES));
  }

  /**
   * Calls a function for every command, synchronously, with the id under which it is sent, before it is checked
   * and handed over. A handler that throws does not stop the command. For commands of the engine itself (an
   * abort at a limit, a tool's answer) it is called soon after they were sent. Returns a function that removes
   * the handler.
   */
  onSend(handler: types.AppServerSendHandler): () => void {
    return this.#sending.handlers.add(handler);
  }

  /**
   * Calls a function when the connection ends, once for each connection and not after `close()`. Pending calls
   * have been rejected by then. Returns a function that removes the handler.
   */
  onDisconnect(handler: types.AppServerDisconnectHandler): () => void {
    return this.#standing.disconnects.add(handler);
  }

  /**
   * Calls a function when `state` changes, once for each change and in order with the messages. For
   * `reconnecting` the second argument is the loss; for `disconnected` it is what ended the connection for
   * good, such as a refused token. Otherwise it is `null`, also when `connect` rejects. Returns a function that
   * removes the handler.
   */
  onState(handler: types.ClientStateHandler): () => void {
    return this.#standing.states.add(handler);
  }

  /**
   * Calls a function with the number of frames that were dropped because this thread was too busy to fetch
   * them. Results of calls are never dropped, nor are frames that end a turn or a terminal, want a permission
   * or call a tool. Without such a handler, a drop is reported as a process warning of type
   * `AppClientLagWarning`. Returns a function that removes the handler.
   */
  onLagged(handler: types.LaggedHandler): () => void {
    return this.#lags.add(handler);
  }

  /**
   * Runs external tools (section 14). What the handler returns answers the call; it can be anything that the
   * function of a {@link tool} may return, except nothing. An exception becomes the error text of the tool and
   * is counted in `stats`; so does a result that the server would ignore. If there are several handlers, each
   * of them runs for every call, and the first answer counts (in Python and Rust a second handler replaces the
   * first). Handlers for the call's `runtime` take precedence, and only the latest of them runs. Once there has
   * been such a handler, a call that no handler is for is answered with an error. At most
   * `externalToolConcurrency` calls run at once, each for at most `externalToolTimeoutMs`. The second argument
   * has a `signal`, which is aborted when the answer is no longer needed: the turn was aborted, the time is up,
   * or the connection has ended. Returns a function that removes the handler.
   */
  onExternalToolCall(
    handler: types.AppServerExternalToolCallHandler,
    options: types.ExternalToolCallOptions = {},
  ): () => void {
    return this.#tools.add(handler, checkedOptions(options, TOOL_CALL_NAMES));
  }

  /**
   * Decides on permissions (section 13) of all runtimes or of one: the handler's decision answers the server's
   * question with an `input`. Each question is put to one handler, once, and for each runtime one after the
   * other. A handler for the runtime comes before one for all, and the latest before earlier ones. Turns with
   * an `onApproval` of their own, or with `approvals: "deny"`, do not ask here. The second argument has a
   * `signal`, which is aborted when the decision is no longer needed. A handler that throws, or returns no
   * decision, denies with a reason, and is reported and counted as in `onMessage`. An answer that did not
   * count, for example because somebody else was first, is reported as a process warning of type
   * `AppClientApprovalWarning`. Returns a function that removes the handler; questions that it has not answered
   * then go to others.
   */
  onApprovalRequest(
    handler: ApprovalHandler,
    options: types.ApprovalRequestOptions = {},
  ): () => void {
    return this.#approvers.add(handler, checkedOptions(options, APPROVAL_NAMES).runtime);
  }

  /** @internal Made when there is a session. */
  get held(): HeldRuntimes {
    this.#held ??= new HeldRuntimes(this.#native, this.#sending, (handler, options) =>
      this.#tools.add(handler, options),
    );
    return this.#held;
  }

  /** @internal Refuses what the method of this command would, before it is sent. */
  checkCommand(type: "runtime_start" | "input", fields: object): void {
    this.#sending.checkOpen();
    const text = commandText(typed(type, fields));
    translated(() => this.#native.checkCommand(text));
  }

  /** An id that no other request of this or another client has. */
  nextRequestId(prefix = "req"): string {
    if (typeof prefix !== "string") {
      throw new InvalidOption(`prefix: expected a string, got ${describe(prefix)}`);
    }
    return this.#native.nextRequestId(prefix);
  }

  /**
   * Sends a command that is checked against the protocol, and expects nothing. A new input on a
   * runtime whose turn has just ended leaves after `settlePauseMs` (section 18).
   */
  send(command: wire.WsProtocolCommand): void {
    this.#sending.send(this.#sending.withId(command, false), "catalog");
  }

  /** Sends any object with a `type`, for commands that this version does not know. */
  sendRaw(command: types.AppServerRawCommand): void {
    this.#sending.send(command, "shape");
  }

  /**
   * Sends a command and resolves with its response, also with one that says `success: false`
   * (section 5). Cancelling stops the wait; the server still works on the command.
   *
   * Rejects with {@link RequestTimeout}, {@link Disconnected} or {@link ClientClosed}.
   */
  request<TMessage extends wire.WsProtocolMessage = wire.WsProtocolMessage>(
    command: types.AppServerRequestCommandWithId,
    options?: types.AppServerRequestOptions<TMessage>,
  ): Promise<TMessage>;
  /**
   * The same from a type and the other fields; the `request_id` is added. Both are those of the
   * protocol's catalog (see {@link CommandMap}).
   */
  request<TType extends AnsweredType>(
    type: TType,
    ...rest: types.RequestArguments<TType, RequestOptions & { predicate?: undefined }>
  ): Promise<CommandMap[TType]["response"]>;
  /** The same for commands that this version does not know. */
  request<TType extends string, TMessage extends wire.WsProtocolMessage = wire.WsProtocolMessage>(
    type: TType extends CommandType ? never : TType,
    body?: types.AppServerRequestBody,
    options?: types.AppServerRequestOptions<TMessage>,
  ): Promise<TMessage>;
  /** The same with fields that only the program knows while it runs. */
  request<
    TMessage extends wire.WsProtocolMessage = wire.WsProtocolMessage,
    TBody extends types.AppServerRequestBody = types.AppServerRequestBody,
  >(
    type: string,
    body: string extends keyof TBody ? TBody : never,
    options?: types.AppServerRequestOptions<TMessage>,
  ): Promise<TMessage>;
  /** The same, with an answer of another kind. */
  request<TType extends AnsweredType, TMessage extends wire.WsProtocolMessage>(
    type: TType,
    ...rest: types.RequestArguments<TType, types.AppServerRequestOptions<TMessage>>
  ): Promise<TMessage>;
  async request(first: string | object, second: object = {}, third: object = {}): Promise<unknown> {
    const ofType = typeof first === "string";
    const options = (ofType ? third : second) as types.AppServerRequestOptions;
    const predicate = options?.predicate;
    if (predicate !== undefined) checkPredicate(predicate);
    const complete = () =>
      ofType ? this.#sending.command(first, second) : this.#sending.withId(first, true);
    return await this.#sending.request(complete, options, { predicate, check: "catalog" });
  }

  /**
   * Sends any object with a `type` and a `request_id`; resolves with the first frame with that id
   * that the predicate accepts. Otherwise as {@link AppServerClient.request}.
   */
  async requestRaw<TResponse extends types.AppServerRawResponse>(
    command: types.AppServerRawCommand & { request_id: string },
    options: types.AppServerRawRequestOptions<TResponse>,
  ): Promise<TResponse> {
    const { predicate } = options ?? {};
    checkPredicate(predicate);
    if (typeof checkedCommand(command).request_id !== "string") {
      throw new InvalidCommand("field `request_id`: expected a string");
    }
    return await this.#sending.request(() => command, options, { predicate, check: "shape" });
  }

  /**
   * Sends an `input` and follows its turn to the end. Every end that the server reports resolves, and is told
   * in `status` and `stopReason`. Messages without a `client_message_id` get one. Only the turn's own events
   * settle it (section 17). Cancelling stops it on the server (`abort_message`, or `remove_queue_item` while it
   * is queued).
   *
   * Rejects with {@link TurnTimeout} or {@link TurnIdleTimeout} at a limit, after the turn was stopped; with
   * {@link TurnInterrupted} when the connection ends, or the server shows no sign of the input; with
   * {@link TurnAborted} when the input was removed from the queue; with {@link ApprovalRequired} when a permission is
   * needed and `approvals` is `raise`; and with {@link RequestError} when the input was refused. The error's
   * `result` holds what is known of the turn.
   */
  runTurn(command: types.RunTurnCommand, options: RunTurnOptions = {}): Promise<TurnResult> {
    return this.#turns.run(() => this.#sending.turnInput(command), options);
  }

  /**
   * Does the same but returns a handle at once: the turn can be awaited, iterated for its events, stopped and
   * left alone (see {@link Turn}). Its `signal` stops it on the server, and everything that waits for it
   * rejects with {@link AbortError} at once.
   *
   * @throws at once what is wrong with the input: {@link InvalidCommand}, {@link InvalidOption} or
   * {@link MessageTooLarge}. With {@link Disconnected}, {@link ClientClosed}, {@link TooManyRequests}, and
   * {@link AbortError} for a signal that is already aborted, the turn rejects, and nothing is sent.
   */
  sendTurn(command: types.RunTurnCommand, options: RunTurnOptions = {}): Turn {
    return this.#turns.send(this.#sending.turnInput(command), options);
  }

  /**
   * Starts or joins a conversation, and resolves with its session: `runtime_start` (section 8), with a mode
   * unless the conversation has one already from this client. Unless you say who decides on permissions, the handlers of
   * `onApprovalRequest` do, and where there are none, whatever needs one is denied. `signal` cancels only the start.
   *
   * Several sessions may have one conversation. What a further one does not name stays as it is: the permission mode, the
   * external tools of the others. Its `mode` and `cwd` are those of all; its tools come to theirs, and go with it. A
   * start that is cancelled takes its tools back, but may have changed the mode and the directory.
   *
   * Rejects with {@link RequestError} when the server refuses; otherwise as `runtimeStart`.
   */
  session(options: SessionOptions): Promise<Session> {
    return Session.open(this, options);
  }

  #failure(json: string, result?: TurnResult): LettaAppError {
    const error = fromOutside(errorFromJson(json, result));
    if (!(error instanceof ApprovalRequired)) return error;
    const { runtime, requestId: request_id } = error.request;
    return error.answeredBy((decision) => {
      this.input({ runtime, payload: { kind: "approval_response", request_id, decision } });
    });
  }

  /** Lets the engine keep frames to itself that nobody looks at. */
  #listen(): void {
    const listens = this.#messages.size > 0 || this.#running.any;
    if (listens === this.#listens) return;
    this.#listens = listens;
    this.#native.wantMessages(listens);
  }

  /** Handles one delivery. */
  #deliver(kind: number, value: number, text: string, place: number): unknown {
    switch (kind) {
      case Kind.Message:
        return this.#message(place, value, text);
      case Kind.Sent:
        return this.#sending.handlers.size > 0 && this.#sending.handlers.call(JSON.parse(text));
      case Kind.Done:
      case Kind.Response:
      case Kind.Turn:
        return this.#calls.resolve(value, text);
      case Kind.Candidate:
        return this.#calls.offer(value, text);
      case Kind.Failed:
        return this.#calls.reject(value, this.#failure(text));
      case Kind.ToolCall:
        return this.#tools.run(this.#frames.again(text));
      case Kind.ToolOver:
        return this.#tools.over(text);
      case Kind.ToolRefused:
        return this.#tools.refused();
      case Kind.Approval:
        return this.#approvers.ask(value, text, (frame) => this.#frames.again(frame));
      case Kind.ApprovalOver:
        return this.#approvers.over(text);
      case Kind.TurnReady:
        return this.#calls.ready(value);
      case Kind.Disconnected:
        this.#running.clear();
        return !this.#closed && this.#standing.deliver(kind, value, text);
      case Kind.State:
      case Kind.RestoreFailed:
      case Kind.Unrecorded:
        return this.#standing.deliver(kind, value, text);
      default:
        return kind === Kind.Lagged && this.#lagged(value);
    }
  }

  #message(place: number, channel: number, text: string): void {
    let parsed: wire.WsProtocolMessage | undefined;
    const parse = () => {
      parsed ??= this.#frames.frame<wire.WsProtocolMessage>(text);
      return parsed;
    };
    if (this.#running.follows(place)) this.#running.received(parse());
    if (this.#messages.size === 0) return;
    this.#messages.call(place, channel === 1 ? "stream" : "control", parse);
  }

  #lagged(count: number): void {
    this.#dropped += count;
    this.#followers.lagged(count);
    if (this.#lags.size > 0) {
      this.#lags.call(count);
    } else {
      const text = `${count} frames were dropped because they were not fetched in time`;
      process.emitWarning(text, { type: "AppClientLagWarning" });
    }
  }
}

function checkPredicate(predicate: unknown): void {
  if (typeof predicate === "function") return;
  throw new InvalidOption(`predicate: expected a function, got ${describe(predicate)}`);
}
