/** Tools that are offered to a runtime together (section 14). */

import { checkedOptions } from "./checks.js";
import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import type {
  ExternalToolCallRequestMessage,
  ExternalToolCallResult,
  RuntimeStartExternalToolsGroup,
} from "./protocol.js";
import type { HandlerOptions } from "./running.js";
import { checkedName, type Tool } from "./tool.js";
import { errorResult } from "./toolresults.js";

/** How tools are offered. */
export interface ToolSetOptions {
  /** Hides the tools from turns whose payload does not name this in `external_tool_scope_ids`. */
  scopeId?: string | undefined;
}

/** Tools, and what connects them with a client; made by {@link toolSet}. */
export interface ToolSet {
  /** The tools, in their order. */
  readonly tools: readonly Tool[];
  /** What `runtimeStart`, and each of the `updates` of `runtimeExternalToolsUpdate`, takes. */
  readonly externalTools: RuntimeStartExternalToolsGroup[];
  /**
   * What `onExternalToolCall` takes. Resolves with the result of the tool that is called, never
   * rejects, and answers a call of any other tool with an error.
   */
  readonly handler: (
    call: ExternalToolCallRequestMessage,
    options: HandlerOptions,
  ) => Promise<ExternalToolCallResult>;
}

/**
 * A set of tools. Sends nothing by itself; the server is told of the tools by `runtimeStart` and calls
 * them through the handler:
 *
 * ```ts
 * const { externalTools, handler } = toolSet([lookup]);
 * client.onExternalToolCall(handler);
 * await client.runtimeStart({ agent_id: "agent-123", mode: "standard", external_tools: externalTools });
 * ```
 *
 * A registration lasts as long as the connection and replaces the one before (section 14). Every
 * handler of a client gets every call and the first answer counts, so a client takes the handler of one
 * set. With several sets, of several scopes for example, a function of yours chooses:
 * `onExternalToolCall((call, options) => sets[call.scope_id ?? ""].handler(call, options))`.
 *
 * @throws {@link InvalidOption} for what is no tool, for a name that two tools have, and for a
 * `scopeId` that is no text.
 */
export function toolSet(tools: readonly Tool[], options: ToolSetOptions = {}): ToolSet {
  const byName = new Map<string, Tool>();
  if (!Array.isArray(tools)) {
    throw new InvalidOption(`tools: expected a list of tools, got ${describe(tools)}`);
  }
  for (const each of tools as readonly (Tool | null | undefined)[]) {
    if (typeof each?.call !== "function" || typeof each.definition?.name !== "string") {
      throw new InvalidOption(`tools: expected what tool(…) makes, got ${describe(each)}`);
    }
    checkedName("tools", each.definition.name);
    if (byName.has(each.name)) throw new InvalidOption(`tools: two have the name ${each.name}`);
    byName.set(each.name, each);
  }
  const { scopeId } = checkedOptions(options, { scopeId: "string" });
  if (scopeId !== undefined && typeof scopeId !== "string") {
    throw new InvalidOption(`scopeId: expected a string, got ${describe(scopeId)}`);
  }
  const group = {
    ...(scopeId !== undefined && { scope_id: scopeId }),
    tools: tools.map(({ definition }) => definition),
  };
  return Object.freeze({
    tools: Object.freeze([...tools]),
    externalTools: tools.length === 0 ? [] : [group],
    handler: async (call, { signal }) => {
      const called = byName.get(call.tool_name);
      if (!called) {
        const names = [...byName.keys()].join(", ") || "none";
        return errorResult(`there is no tool ${call.tool_name} here; the tools are: ${names}`);
      }
      const { tool_call_id: callId, runtime } = call;
      return called.call(call.input, { signal, callId, runtime });
    },
  } satisfies ToolSet);
}
