/** External tools: calls of the server that handlers of the user answer (section 14). */

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
  readonly #handlers = new Set<AppServerExternalToolCallHandler>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  add(handler: AppServerExternalToolCallHandler): () => void {
    if (typeof handler !== "function") {
      throw new TypeError(`onExternalToolCall: expected a function, got ${String(handler)}`);
    }
    this.#handlers.add(handler);
    this.#engine.handleTools(true);
    return () => {
      this.#handlers.delete(handler);
      this.#engine.handleTools(this.#handlers.size > 0);
    };
  }

  run(request: ExternalToolCallRequestMessage): void {
    for (const handler of this.#handlers) void this.#answer(handler, request);
  }

  /** Never rejects: whatever goes wrong becomes the tool's error. */
  async #answer(
    handler: AppServerExternalToolCallHandler,
    request: ExternalToolCallRequestMessage,
  ): Promise<void> {
    const id = request.request_id;
    try {
      const result: unknown = JSON.stringify(await handler(request));
      if (typeof result === "string") this.#engine.answerTool(id, result);
      else this.#engine.failTool(id, "the tool returned nothing");
    } catch (error) {
      this.#engine.failTool(id, error instanceof Error ? error.message : String(error));
    }
  }
}
