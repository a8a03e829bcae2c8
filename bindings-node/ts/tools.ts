/** External tools: calls of the server that handlers of the user answer (section 14). */

import { describe } from "./describe.js";
import { HandlerSet } from "./handlers.js";
import type { ExternalToolCallRequestMessage } from "./protocol.js";
import { RunningHandlers } from "./running.js";
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
  readonly #handlers: HandlerSet<AppServerExternalToolCallHandler>;
  readonly #running: RunningHandlers<string>;

  /** `changed` is called when `active` may have changed. */
  constructor(engine: Engine, changed: () => void) {
    this.#engine = engine;
    this.#running = new RunningHandlers(changed);
    this.#handlers = new HandlerSet("onExternalToolCall", () => {
      engine.handleTools(this.#handlers.size > 0);
      changed();
    });
  }

  /** Whether there are handlers, or calls that one of them has not answered yet. */
  get active(): boolean {
    return this.#handlers.size > 0 || this.#running.size > 0;
  }

  add(handler: AppServerExternalToolCallHandler): () => void {
    return this.#handlers.add(handler);
  }

  /** Whatever goes wrong becomes the tool's error. */
  run(request: ExternalToolCallRequestMessage): void {
    const id = request.request_id;
    this.#handlers.each((handler) => {
      void this.#running.run(id, (options) => handler(request, options), {
        returned: (value) => {
          const result: unknown = JSON.stringify(value);
          if (typeof result === "string") this.#engine.answerTool(id, result);
          else this.#engine.failTool(id, "the tool returned nothing");
        },
        failed: (error) => this.#engine.failTool(id, describe(error)),
      });
    });
  }

  /** A call need not be answered any more, as a delivery tells it. */
  over(text: string): void {
    const over = JSON.parse(text) as { request_id: string; reason: string };
    this.#running.over(over.request_id, over.reason);
  }
}
