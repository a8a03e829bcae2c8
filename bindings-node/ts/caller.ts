/** What the families of a client, and its own methods, call it by. */

import { checkedCommand, typed } from "./commands.js";
import type { CommandMap } from "./families.js";
import type { AnsweredType, Caller, CommandType } from "./family.js";
import type { MessageFilter } from "./filters.js";
import type { Follower, Followers } from "./followers.js";
import type { RequestOptions } from "./options.js";
import type { Sending } from "./sending.js";
import type { Standing } from "./standing.js";

/** The part of a client that is its user's as well. */
interface Client {
  nextRequestId(prefix: string): string;
}

/** A caller with one object for each client, instead of one for each of its functions. */
export class ClientCaller implements Caller {
  readonly #client: Client;
  readonly #sending: Sending;
  readonly #followers: Followers;
  readonly #standing: Standing;

  constructor(client: Client, sending: Sending, followers: Followers, standing: Standing) {
    this.#client = client;
    this.#sending = sending;
    this.#followers = followers;
    this.#standing = standing;
  }

  ask<TType extends AnsweredType>(
    type: TType,
    command: object,
    options: RequestOptions,
  ): Promise<CommandMap[TType]["response"]> {
    const complete = () => this.#sending.withId(typed(type, checkedCommand(command)), true);
    return this.#sending.request(complete, options, { check: "documented" });
  }

  tell(type: CommandType, command: object): void {
    const complete = this.#sending.withId(typed(type, checkedCommand(command)), false);
    this.#sending.send(complete, "documented");
  }

  watch(path: string): void {
    this.#sending.watch(this.#sending.withId(typed("watch_file", { path }), false));
  }

  unwatch(path: string): void {
    this.#sending.unwatch(path);
  }

  follow(filter: MessageFilter, follower: Follower): () => void {
    this.#sending.checkOpen();
    return this.#followers.add(filter, follower);
  }

  gone(): Error | undefined {
    return this.#standing.gone;
  }

  nextId(prefix: string): string {
    return this.#client.nextRequestId(prefix);
  }
}
