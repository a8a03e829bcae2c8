/** External tools: calls of the server that handlers of the user answer (section 14). */

import { describe } from "./describe.js";
import { HandlerSet } from "./handlers.js";
import type { ExternalToolCallRequestMessage } from "./protocol.js";
import type { AppServerExternalToolCallHandler } from "./types.js";

/** The engine's side of tool calls. It knows which calls are open and takes the first answer to each. */
interface Engine {
  handleTools(handled: boolean): void;
  answerTool(requestId: string, result: string): void;
  failTool(requestId: string, error: string): void;
}

/** The handlers of tool calls. */
export class ToolCalls {
  readonly #engine: Engine;
  readonly #changed: () => void;
  readonly #handlers: HandlerSet<AppServerExternalToolCallHandler>;
  #open = 0;

  /** `changed` is called when `active` may have changed. */
  constructor(engine: Engine, changed: () => void) {
    this.#engine = engine;
    this.#changed = changed;
    this.#handlers = new HandlerSet("onExternalToolCall", () => {
      engine.handleTools(this.#handlers.size > 0);
      changed();
    });
  }

  /** Whether there are handlers, or calls that one of them has not answered yet. */
  get active(): boolean {
    return this.#handlers.size > 0 || this.#open > 0;
  }

  add(handler: AppServerExternalToolCallHandler): () => void {
    return this.#handlers.add(handler);
  }

  run(request: ExternalToolCallRequestMessage): void {
    this.#handlers.each((handler) => void this.#answer(handler, request));
  }

  /** Never rejects: whatever goes wrong becomes the tool's error. */
  async #answer(
    handler: AppServerExternalToolCallHandler,
    request: ExternalToolCallRequestMessage,
  ): Promise<void> {
    const id = request.request_id;
    this.#open += 1;
    try {
      const result: unknown = JSON.stringify(await handler(request));
      if (typeof result === "string") this.#engine.answerTool(id, result);
      else this.#engine.failTool(id, "the tool returned nothing");
    } catch (error) {
      this.#engine.failTool(id, describe(error));
    } finally {
      this.#open -= 1;
      this.#changed();
    }
  }
}
