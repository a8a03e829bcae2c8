/** The types of the client's methods. */

import type { LettaAppError } from "./errors.js";
import type { CommandMap } from "./families.js";
import type { AnsweredType } from "./family.js";
import type { AppServerChannel } from "./messages.js";
import type { RequestOptions } from "./options.js";
import type {
  ExternalToolCallRequestMessage,
  ExternalToolCallResult,
  InputCreateMessagePayload,
  RuntimeScope,
  WsProtocolCommand,
  WsProtocolMessage,
} from "./protocol.js";
import type { HandlerOptions } from "./running.js";

/** A command that this version need not know. */
export type AppServerRawCommand = Record<string, unknown> & { type: string; request_id?: string };

/** A response that this version need not know. */
export type AppServerRawResponse = Record<string, unknown> & { type: string; request_id?: string };

/** What goes over the wire. */
export type AppServerSendCommand = WsProtocolCommand | AppServerRawCommand;

/** Commands that carry a `request_id`. */
export type AppServerRequestCommand = Extract<WsProtocolCommand, { request_id?: string }>;

/** The same, with their id. */
export type AppServerRequestCommandWithId = AppServerRequestCommand & { request_id: string };

/** The fields of a command besides its type. */
export type AppServerRequestBody = Record<string, unknown> & { request_id?: string };

/** Optional fields may be `undefined`, which is left out when a command is sent. */
export type Lenient<Command> = {
  [Name in keyof Command]: object extends Pick<Command, Name>
    ? Command[Name] | undefined
    : Command[Name];
};

/** A command's fields, without the type and with an optional id. */
export type Body<Command> = Lenient<Omit<Command, "type" | "request_id">> & {
  request_id?: string | undefined;
};

/** The fields of a command that has no id. */
export type Fields<Command> = Lenient<Omit<Command, "type">>;

/** What `request` takes behind a type: the fields, which may be left out when none is required, and options. */
export type RequestArguments<TType extends AnsweredType, TOptions> =
  Partial<CommandFields<TType>> extends CommandFields<TType>
    ? [body?: CommandFields<TType>, options?: TOptions]
    : [body: CommandFields<TType>, options?: TOptions];

/** The fields of a command of a type. */
export type CommandFields<TType extends AnsweredType> = Body<CommandMap[TType]["command"]>;

/** Receives every frame of the server. Unknown types come as they are. */
export type AppServerMessageHandler = (
  message: WsProtocolMessage,
  channel: AppServerChannel,
) => void;

/** Receives every command. */
export type AppServerSendHandler = (command: AppServerSendCommand) => void;

/** The connection ended without `close()`. */
export interface AppServerDisconnectEvent {
  /** The socket that ended first. */
  channel: AppServerChannel;
  event: {
    /** The close code, 1006 where there was no close frame. */
    code: number;
    /** What happened, in words. */
    reason: string;
  };
  /** Whether the client reconnects by itself. */
  willReconnect: boolean;
}

/** Receives the end of a connection. */
export type AppServerDisconnectHandler = (disconnect: AppServerDisconnectEvent) => void;

/** Receives how many frames were dropped because they were not fetched in time. */
export type LaggedHandler = (dropped: number) => void;

/**
 * What a handler of external tools answers: a whole result, or what becomes one as for the function of a `tool`: a
 * text, bytes, anything that has JSON. Not a promise, which is an object, too: one of nothing would be none the less.
 */
export type ExternalToolAnswer =
  | ExternalToolCallResult
  | string
  | number
  | boolean
  | (object & { then?: never })
  | { readonly [field: string]: unknown; then?: never };

/** Runs an external tool. What it returns, or throws, is the tool's answer, unless its signal is aborted. */
export type AppServerExternalToolCallHandler = (
  request: ExternalToolCallRequestMessage,
  options: HandlerOptions,
) => Promise<ExternalToolAnswer> | ExternalToolAnswer;

/** What `request` takes. */
export interface AppServerRequestOptions<TMessage extends WsProtocolMessage = WsProtocolMessage>
  extends RequestOptions {
  /** Chooses the answer among the frames with the request's id; by default the type decides. */
  predicate?: ((message: WsProtocolMessage) => message is TMessage) | undefined;
}

/** What `onApprovalRequest` takes. */
export interface ApprovalRequestOptions {
  /** The runtime whose permissions the handler decides on; all runtimes by default. */
  runtime?: RuntimeScope | undefined;
}

/** For whom a handler of external tools is: for all, or for one runtime. */
export type ExternalToolCallOptions =
  | {
      /** Without it the handler is for all. */
      runtime?: undefined;
      /** Of no runtime there are no names. */
      names?: undefined;
    }
  | {
      /** Agent and conversation, as `runtimeStart` returned them. */
      runtime: RuntimeScope;
      /** The tools of that runtime; all by default. */
      names?: readonly string[] | undefined;
    };

/** What `requestRaw` takes. */
export interface AppServerRawRequestOptions<TResponse extends AppServerRawResponse>
  extends RequestOptions {
  /** Chooses the answer among the frames with the request's id. */
  predicate: (message: unknown) => message is TResponse;
}

/** The input of a turn. */
export interface RunTurnCommand {
  /** Made where there is none. */
  request_id?: string | undefined;
  /** Agent and conversation. */
  runtime: RuntimeScope;
  /** What is said (section 8.1). */
  payload: InputCreateMessagePayload;
}

/** What can be done with `client.socket`, and what other clients want of their sockets. */
export interface AppServerSocketLike {
  /** 0 connecting, 1 open, 2 closing, 3 closed. */
  readyState: number;
  send(data: string): void;
  close(): void;
  addEventListener?(type: string, listener: (event: unknown) => void): void;
  removeEventListener?(type: string, listener: (event: unknown) => void): void;
  on?(type: string, listener: (event: unknown) => void): void;
  off?(type: string, listener: (event: unknown) => void): void;
  once?(type: string, listener: (event: unknown) => void): void;
}

/** What other clients build their sockets with. */
export interface AppServerSocketOptions {
  headers?: Record<string, string>;
}

/** What other clients take as `WebSocket`; here it is accepted and ignored. */
export type AppServerSocketConstructor = new (
  url: string,
  options?: AppServerSocketOptions,
) => AppServerSocketLike;

/** The state of a client's connection. */
export type ClientState =
  | "new"
  | "connecting"
  | "open"
  | "reconnecting"
  | "disconnected"
  | "closed";

/**
 * Receives a change of the client's state, with the loss for `reconnecting` and what ended a connection
 * for good for `disconnected`.
 */
export type ClientStateHandler = (state: ClientState, error: LettaAppError | null) => void;

/** Counters of what has come in so far. */
export interface ClientStats {
  /** Frames that were JSON objects. */
  frames: number;
  /** Bytes of all frames. */
  bytes: number;
  /** Frames that were not JSON objects. */
  malformed: number;
  /** Frames whose fields were not of the expected types; they still reach `onMessage`. */
  degraded: number;
  /** How often a lost connection was opened again. */
  reconnects: number;
  /** Runtimes that were restored after that. */
  restored: number;
  /** Commands for restoring them that the server refused or did not answer. */
  restoreFailures: number;
  /**
   * Lines missing from a recording (`record`) because the disk was too slow or is full, because `redact` failed, or
   * because a frame was not JSON, so that nothing could be removed from it. Once the client is closed, this also
   * counts the lines that could not be written before the close ended, until they are written.
   */
  unrecorded: number;
  /**
   * Commands that nobody waited for (`send`, the inputs of turns that were detached) and that never left: because
   * the client was closed, or gave up connecting again, while they waited; or because the connection was lost before
   * they were written, and they meant nothing on another one (an abort, the answer to a permission request, and all
   * that has no runtime). What else had not been written then leaves on the next connection. What was written into a
   * connection that proves to be lost is not counted: it may have arrived.
   */
  unsent: number;
  /**
   * The state of the second connection (the option `standby`): `off` if there is none, `opening`, or `ready` to
   * take over.
   */
  standby: "off" | "opening" | "ready";
  /** Frames dropped because they were not fetched in time. */
  dropped: number;
  /** How often a handler or a tool failed, or returned something that is not an answer. */
  handlerErrors: number;
}
