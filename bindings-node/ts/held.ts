/** The runtimes of a client's sessions, and their tools: until nobody has the session any more. */

import type { RuntimeScope } from "./protocol.js";
import type { AppServerExternalToolCallHandler, ExternalToolCallOptions } from "./types.js";

/** The engine's side: a runtime that is held is started again after a reconnect. */
interface Engine {
  holdRuntime(agent: string, conversation: string, held: boolean): void;
}

/** Adds a handler of tool calls, and gives what removes it. */
type Add = (
  handler: AppServerExternalToolCallHandler,
  options: ExternalToolCallOptions,
) => () => void;

/** What the sessions of one client hold. */
export class HeldRuntimes {
  readonly #engine: Engine;
  readonly #add: Add;
  /** What lets go of each: kept here, so that it lasts as long as the client, and no longer. */
  readonly #letGo = new Set<() => void>();

  constructor(engine: Engine, add: Add) {
    this.#engine = engine;
    this.#add = add;
  }

  /** Holds a runtime, and answers calls of these tools, until what this returns is called. */
  hold(
    { agent_id, conversation_id }: RuntimeScope,
    names: string[],
    handler: AppServerExternalToolCallHandler,
  ): () => void {
    const runtime = { agent_id, conversation_id };
    this.#engine.holdRuntime(agent_id, conversation_id, true);
    const remove = names.length > 0 ? this.#add(handler, { runtime, names }) : undefined;
    const letGo = () => {
      if (!this.#letGo.delete(letGo)) return;
      remove?.();
      this.#engine.holdRuntime(agent_id, conversation_id, false);
    };
    this.#letGo.add(letGo);
    return letGo;
  }
}
