/** External tools made of functions (section 14). */

import { checkedOptions, type NamesOf, show } from "./checks.js";
import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { checkToolName } from "./native.cjs";
import type {
  ExternalToolCallResult,
  ExternalToolDefinitionPayload,
  RuntimeScope,
} from "./protocol.js";
import type { HandlerOptions } from "./running.js";
import type { SchemaOutput, StandardSchemaV1 } from "./standardschema.js";
import { checkedArguments } from "./toolarguments.js";
import { errorResult, failedResult, toolResult } from "./toolresults.js";
import { type JsonSchema, jsonSchemaOf, type ToolParameters } from "./toolschema.js";

/** What a tool's function gets besides its arguments. */
export interface ToolContext extends HandlerOptions {
  /** The model's id of the call; the same as in the turn's events and result. */
  callId: string;
  /** The conversation that calls; servers name it in some cases only. */
  runtime: RuntimeScope | undefined;
}

/** The arguments of a tool's function: what the schema makes of them. */
export type ToolArguments<Parameters extends ToolParameters> = Parameters extends StandardSchemaV1
  ? SchemaOutput<Parameters>
  : Record<string, unknown>;

/** What a tool is made of. */
export interface ToolOptions<Parameters extends ToolParameters> {
  /** The name the model calls it by: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`. */
  name: string;
  /** What it does and when to use it; the model reads this. */
  description: string;
  /** A name for people. */
  label?: string | undefined;
  /**
   * Its parameters: a Standard Schema (zod, valibot, arktype), which validates the arguments of every
   * call, or a JSON schema of an object. Of that the engine demands the types, the values of an `enum` and the names
   * in `required`, of what is inside as well, and no other keywords.
   */
  parameters: Parameters;
  /** The JSON schema for the model, where the library of `parameters` does not write it. */
  jsonSchema?: JsonSchema | undefined;
  /**
   * Does the work. A text it returns, or resolves with, is the result as it stands, `undefined` or `null`
   * is `done`, a `Uint8Array` is a PNG, JPEG, GIF or WebP image, or else UTF-8 text, or else base64 text
   * that says so, and a list that holds some is a part for each item. `{ content: [{ type: "text" | "image",
   * … }], is_error? }` with no other keys goes over the wire as it is, and everything else as its JSON text.
   * What it throws is told to the model as an error, by its message alone, and counted in
   * `stats.handlerErrors`.
   */
  execute: (args: ToolArguments<Parameters>, context: ToolContext) => unknown;
}

/** All that a tool is made of. */
const TOOL_NAMES: NamesOf<ToolOptions<ToolParameters>> = {
  name: "string",
  description: "string",
  label: "string",
  parameters: "schema",
  jsonSchema: "schema",
  execute: "function",
};

/** A tool; made by {@link tool}, offered with {@link toolSet}. */
export interface Tool {
  /** The name the model calls it by. */
  readonly name: string;
  /** What the server is told of it, one of `tools` in a group of `external_tools`. */
  readonly definition: ExternalToolDefinitionPayload;
  /**
   * Runs it as a call of the server does: judges the arguments, runs the function, and resolves with
   * the result for the wire. Sends nothing. It never rejects: whatever goes wrong is a result with
   * `is_error`. It does not cancel by itself, its function does when `context.signal` is aborted;
   * the function is not called when that happens before.
   */
  call(input: unknown, context: ToolContext): Promise<ExternalToolCallResult>;
}

/**
 * A tool of a function. Sends nothing by itself: {@link toolSet} offers tools to a runtime.
 *
 * ```ts
 * const lookup = tool({
 *   name: "lookup_user",
 *   description: "Find a user by email",
 *   parameters: z.object({ email: z.string() }),
 *   execute: async ({ email }, { signal }) => ({ id: 7, email }),
 * });
 * ```
 *
 * The server and the model get the parameters as a JSON schema: `jsonSchema`, or `parameters` where
 * they are one, or what the library makes of its schema (the extension Standard JSON Schema, or a
 * method `toJSONSchema` or `toJsonSchema`). Arguments that the schema refuses are answered with an
 * error that names the place and what was expected; the function is not called.
 *
 * @throws {@link InvalidOption} names the option that cannot be used; one without a JSON schema among
 * them.
 */
export function tool<Parameters extends ToolParameters>(options: ToolOptions<Parameters>): Tool {
  const { parameters, execute } = checkedOptions(options, TOOL_NAMES);
  const definition = definitionOf(options);
  if (typeof execute !== "function") {
    throw new InvalidOption(`execute: expected a function, got ${describe(execute)}`);
  }
  const { name } = definition;
  return Object.freeze({
    name,
    definition,
    async call(input: unknown, context: ToolContext): Promise<ExternalToolCallResult> {
      try {
        const { value, problems } = await checkedArguments(parameters, input);
        // A slip of the model's, which it can mend.
        if (problems.length > 0) {
          return errorResult(`invalid arguments of ${name}: ${problems.join("; ")}`);
        }
        context.signal.throwIfAborted();
        return toolResult(await execute(value as ToolArguments<Parameters>, context));
      } catch (error) {
        return failedResult(error);
      }
    },
  });
}

/** @throws {@link InvalidOption} names the tool. */
export function checkedName(option: string, name: unknown): void {
  if (typeof name !== "string") {
    throw new InvalidOption(`${option}: expected the name of a tool, got ${show(name)}`);
  }
  const wrong = checkToolName(name);
  if (wrong) throw new InvalidOption(`${option}: ${wrong}`);
}

function definitionOf(options: ToolOptions<ToolParameters>): ExternalToolDefinitionPayload {
  const { name, description, label, parameters, jsonSchema } = options;
  checkedName("name", name);
  if (typeof description !== "string") {
    throw new InvalidOption(`description: expected a text, got ${describe(description)}`);
  }
  if (label !== undefined && typeof label !== "string") {
    throw new InvalidOption(`label: expected a text, got ${describe(label)}`);
  }
  return {
    name,
    ...(label !== undefined && { label }),
    description,
    parameters: jsonSchemaOf(parameters, jsonSchema),
  };
}
