/** External tools: calls of the server that handlers of the user answer (section 14). */

import { type NamesOf, show } from "./checks.js";
import { Context } from "./context.js";
import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { HandlerSet } from "./handlers.js";
import type { ExternalToolCallRequestMessage, RuntimeScope } from "./protocol.js";
import { RunningHandlers } from "./running.js";
import { isFailure, resultText, toolResult } from "./toolresults.js";
import type { AppServerExternalToolCallHandler, ExternalToolCallOptions } from "./types.js";

/** The engine's side of tool calls. It knows which calls are open and takes the first answer to each. */
interface Engine {
  handleTools(handled: boolean): void;
  answerTool(requestId: string, result: string): void;
  failTool(requestId: string, error: string): void;
}

/** A handler for one runtime, and for some tools or all. */
interface Scoped {
  readonly key: string;
  readonly names: ReadonlySet<string> | undefined;
  readonly handler: AppServerExternalToolCallHandler;
  /** Where it was registered. */
  readonly context: Context;
}

/** All that `onExternalToolCall` takes besides the handler. */
export const TOOL_CALL_NAMES: NamesOf<ExternalToolCallOptions> = {
  runtime: "runtime",
  names: "names",
};

/** The handlers of tool calls. */
export class ToolCalls {
  readonly #engine: Engine;
  /** For all runtimes. */
  readonly #handlers: HandlerSet<AppServerExternalToolCallHandler>;
  /** For one runtime each; the latest goes first. */
  #own: Set<Scoped> | undefined;
  /** There has been one of those: what it was registered for is still called, and answered for. */
  #scoped = false;
  readonly #running: RunningHandlers<string>;
  readonly #registered: () => void;
  readonly #failed: () => void;

  /** `failed` is called for every tool that fails, `changed` when `active` may have changed. */
  constructor(engine: Engine, failed: () => void, changed: () => void) {
    this.#engine = engine;
    this.#failed = failed;
    this.#running = new RunningHandlers(changed);
    this.#registered = () => {
      engine.handleTools(this.#handled || this.#scoped);
      changed();
    };
    this.#handlers = new HandlerSet("onExternalToolCall", this.#registered);
  }

  get #handled(): boolean {
    return this.#handlers.size > 0 || (this.#own?.size ?? 0) > 0;
  }

  /** Whether there are handlers, or calls that one of them has not answered yet. */
  get active(): boolean {
    return this.#handled || this.#running.size > 0;
  }

  add(
    handler: AppServerExternalToolCallHandler,
    { runtime, names }: ExternalToolCallOptions = {},
  ): () => void {
    if (runtime === undefined && names === undefined) return this.#handlers.add(handler);
    if (typeof handler !== "function") {
      throw new InvalidOption(`onExternalToolCall: expected a function, got ${show(handler)}`);
    }
    if (typeof runtime?.agent_id !== "string" || typeof runtime.conversation_id !== "string") {
      throw new InvalidOption("runtime: expected an agent_id and a conversation_id");
    }
    const mine = {
      key: keyOf(runtime),
      names: checkedNamesOf(names),
      handler,
      context: new Context(),
    };
    this.#own ??= new Set();
    const own = this.#own.add(mine);
    this.#scoped = true;
    this.#registered();
    return () => {
      if (!own.delete(mine)) return;
      mine.context.end();
      this.#registered();
    };
  }

  /** The client is closed. */
  end(): void {
    this.#handlers.end();
    for (const { context } of this.#own ?? []) context.end();
  }

  /** Lets whom it is for answer a call. */
  run(request: ExternalToolCallRequestMessage): void {
    const key = request.runtime && keyOf(request.runtime);
    const fits = (one: Scoped) => one.key === key && one.names?.has(request.tool_name) !== false;
    const own = [...(this.#own ?? [])].findLast(fits);
    if (own) {
      own.context.run(() => this.#ask(own.handler, request));
    } else if (this.#handlers.size > 0) {
      this.#handlers.each((handler) => this.#ask(handler, request));
    } else if (this.#scoped) {
      // The server calls only what this connection has registered: nobody else answers.
      this.#engine.failTool(request.request_id, "there is no handler for this tool any more");
    }
  }

  /** Whatever goes wrong becomes the tool's error. */
  #ask(handler: AppServerExternalToolCallHandler, request: ExternalToolCallRequestMessage): void {
    const id = request.request_id;
    void this.#running.run(id, (options) => handler(request, options), {
      returned: (value) => {
        // One that has nothing to say to a call is most likely not meant to answer it.
        if (value === undefined || value === null) throw new TypeError("the tool returned nothing");
        const result = toolResult(value);
        this.#engine.answerTool(id, resultText(result));
        if (isFailure(result)) this.#failed();
      },
      failed: (error) => {
        this.#failed();
        this.#engine.failTool(id, describe(error));
      },
    });
  }

  /** The engine has answered with an error, because what a tool returned is no result or too large. */
  refused(): void {
    this.#failed();
  }

  /** A call need not be answered any more, as a delivery tells it. */
  over(text: string): void {
    const over = JSON.parse(text) as { request_id: string; reason: string };
    this.#running.over(over.request_id, over.reason);
  }
}

/** One text would be a set of its letters, none of which is a tool. */
function checkedNamesOf(names: readonly string[] | undefined): ReadonlySet<string> | undefined {
  if (names === undefined) return undefined;
  if (!Array.isArray(names) || !names.every((name) => typeof name === "string")) {
    throw new InvalidOption(`names: expected a list of names of tools, got ${show(names)}`);
  }
  return new Set(names);
}

function keyOf(runtime: RuntimeScope): string {
  return JSON.stringify([runtime.agent_id, runtime.conversation_id]);
}
