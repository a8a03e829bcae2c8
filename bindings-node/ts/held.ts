/** The runtimes of a client's sessions, and their tools: until nobody has the session any more. */

import { checkedCommand, typed } from "./commands.js";
import type { Connection } from "./native.cjs";
import type { RequestOptions } from "./options.js";
import type * as wire from "./protocol.js";
import { refused } from "./refused.js";
import type { Sending } from "./sending.js";
import type { AppServerExternalToolCallHandler, ExternalToolCallOptions } from "./types.js";

/** Adds a handler of tool calls, and gives what removes it. */
type Add = (
  handler: AppServerExternalToolCallHandler,
  options: ExternalToolCallOptions,
) => () => void;

type Groups = wire.RuntimeStartExternalToolsGroup[];

/** What the sessions of one client hold. */
export class HeldRuntimes {
  readonly #engine: Connection;
  readonly #sending: Sending;
  readonly #add: Add;
  /** What lets go of each: kept here, so that it lasts as long as the client, and no longer. */
  readonly #letGo = new Set<() => void>();

  constructor(engine: Connection, sending: Sending, add: Add) {
    this.#engine = engine;
    this.#sending = sending;
    this.#add = add;
  }

  /** Starts the runtime of a session: what it does not say stays as it is. */
  open(start: object, options: RequestOptions): Promise<wire.RuntimeStartResponseMessage> {
    const complete = () => typed("runtime_start", checkedCommand(start));
    return this.#sending.request(complete, options, { check: "opening" });
  }

  /** The permission mode of a runtime that a session holds. */
  modeOf({ agent_id, conversation_id }: wire.RuntimeScope): string | undefined {
    return this.#engine.modeOf(agent_id, conversation_id) ?? undefined;
  }

  /**
   * Holds the runtime that a start has given, and answers calls of these tools, until what this returns is called.
   */
  hold(
    { agent_id, conversation_id }: wire.RuntimeScope,
    opening: string,
    names: string[],
    handler: AppServerExternalToolCallHandler,
  ): () => void {
    const runtime = { agent_id, conversation_id };
    this.#engine.holdRuntime(agent_id, conversation_id, opening, true);
    const remove = names.length > 0 ? this.#add(handler, { runtime, names }) : undefined;
    const letGo = () => {
      if (!this.#letGo.delete(letGo)) return;
      remove?.();
      this.#engine.holdRuntime(agent_id, conversation_id, opening, false);
    };
    this.#letGo.add(letGo);
    return letGo;
  }

  /** Registers tools for a while beside those that are there, until `takeBack`. */
  async offer(
    { agent_id, conversation_id }: wire.RuntimeScope,
    owner: string,
    groups: Groups,
    options: RequestOptions,
  ): Promise<void> {
    const text = JSON.stringify(groups);
    const command = JSON.parse(this.#engine.registration(agent_id, conversation_id, text));
    this.#engine.offerTools(agent_id, conversation_id, owner, text);
    const response = await this.#sending.request<
      wire.RuntimeExternalToolsUpdateResponseMessage | wire.RuntimeStartResponseMessage
    >(() => command, options, { check: "offer" });
    if (!response.success) throw refused(response);
  }

  /** Those tools go. A lost connection has lost them. */
  takeBack({ agent_id, conversation_id }: wire.RuntimeScope, owner: string): void {
    this.#engine.offerTools(agent_id, conversation_id, owner);
  }
}
