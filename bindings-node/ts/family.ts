/** What all families of commands are built on. */

import type { CommandMap } from "./families.js";
import type { MessageFilter } from "./filters.js";
import type { Follower } from "./followers.js";
import type { RequestOptions } from "./options.js";

/** The type of a command. */
export type CommandType = keyof CommandMap;

/** The type of a command that is answered. */
export type AnsweredType = {
  [TType in CommandType]: CommandMap[TType]["response"] extends undefined ? never : TType;
}[CommandType];

/** The client, as families see it. */
export interface Caller {
  /** Sends a command with an id where it has one; resolves with its response as it is. */
  ask<TType extends AnsweredType>(
    type: TType,
    command: object,
    options: RequestOptions,
  ): Promise<CommandMap[TType]["response"]>;
  /** Sends a command that is not answered. */
  tell(type: CommandType, command: object): void;
  /** Somebody watches a file. */
  watch(path: string): void;
  /** They do so no more. */
  unwatch(path: string): void;
  /** Gives a follower the frames that pass a filter, until what is returned is called. */
  follow(filter: MessageFilter, follower: Follower): () => void;
  /** Why no frame comes any more, where the connection is lost and nobody connects again. */
  gone(): Error | undefined;
  /** An id that nothing else of this client has. */
  nextId(prefix: string): string;
}

/**
 * A family of commands (section 20): one method for each, with the fields of the protocol.
 *
 * A method whose command is answered resolves with the response as it is, also with one that says
 * `success: false` (section 5). Its options are a `signal` and `timeoutMs`, by default the client's
 * `requestTimeoutMs`. Cancelling stops the wait; the server still works on the command. It rejects with
 * {@link InvalidCommand}, which names the field, for a command that the server would answer with
 * silence, or that has a slip of a field (`agentId`); {@link UnsupportedByServer} for one that this server is too old for; {@link MessageTooLarge}:
 * all before anything is sent. Besides with {@link RequestTimeout}, {@link Disconnected},
 * {@link ClientClosed} and {@link AbortError}.
 *
 * A method whose command is not answered returns when the command was handed over, and throws the same
 * errors, but for the timeout and the abort.
 */
export abstract class Family {
  readonly #caller: () => Caller;

  /** @internal */
  constructor(caller: () => Caller) {
    this.#caller = caller;
  }

  /** @internal */
  protected get caller(): Caller {
    return this.#caller();
  }
}
