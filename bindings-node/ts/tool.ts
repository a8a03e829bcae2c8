/** External tools made of functions (section 14). */

import { checkedOptions, type NamesOf, show } from "./checks.js";
import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { checkToolName, nullableParameters } from "./native.cjs";
import { isPlainObject } from "./plain.js";
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

/** What a tool's function gets in addition to its arguments. */
export interface ToolContext extends HandlerOptions {
  /** The model's id of the call; the same as in the turn's events and result. */
  callId: string;
  /** The conversation that the call comes from; servers name it only in some cases. */
  runtime: RuntimeScope | undefined;
}

/** The arguments of a tool's function: what the schema makes of them. */
export type ToolArguments<Parameters extends ToolParameters> = Parameters extends StandardSchemaV1
  ? SchemaOutput<Parameters>
  : Record<string, unknown>;

/** What a tool is made from. */
export interface ToolOptions<Parameters extends ToolParameters> {
  /** The name the model calls it by: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`. */
  name: string;
  /** What it does and when to use it; the model reads this. */
  description: string;
  /** A name for people. */
  label?: string | undefined;
  /**
   * Its parameters: a Standard Schema (zod, valibot, arktype), which validates the arguments of every call, or
   * the JSON schema of an object. With a JSON schema the engine checks types, the values of an `enum` and the
   * names in `required`, also in nested values, and no other keywords.
   *
   * A required parameter that may be `null` is registered as one that may be left out, and is `null` then: the
   * server itself refuses a call in which a required parameter is missing, or `null`.
   */
  parameters: Parameters;
  /** The JSON schema for the model, if the library of `parameters` cannot produce one. */
  jsonSchema?: JsonSchema | undefined;
  /**
   * Does the work. What it returns, or resolves with, becomes the result. Text is the result as it stands.
   * `undefined` and `null` become `done`. A `Uint8Array` becomes a PNG, JPEG, GIF or WebP image if it is one,
   * or else UTF-8 text, or else base64 text that says what it is. A list that holds a `Uint8Array` becomes one
   * part for each item; any other list is JSON text. `{ content: [{ type: "text" | "image", … }], is_error? }` with
   * no other keys is sent as it is; `isError` is taken for `is_error`. Everything else becomes JSON text. If the
   * function throws, or returns an `Error`, the model gets the error's message and nothing more, and
   * `stats.handlerErrors` counts it.
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
  /** What the server is told about it: one of `tools` in a group of `external_tools`. */
  readonly definition: ExternalToolDefinitionPayload;
  /**
   * Runs the tool as a call of the server does: checks the arguments, runs the function, and resolves with the
   * result for the wire. Sends nothing. It never rejects: whatever goes wrong is a result with `is_error`.
   * Cancelling is up to the function, which can watch `context.signal`; if that is aborted before the function
   * is called, it is not called.
   */
  call(input: unknown, context: ToolContext): Promise<ExternalToolCallResult>;
}

/**
 * Makes a tool from a function. Sends nothing by itself: {@link toolSet} offers tools to a runtime.
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
 * The server and the model get the parameters as a JSON schema: `jsonSchema`; or `parameters`, if that is a
 * JSON schema; or what the schema's library makes of it (with the extension Standard JSON Schema, or a method
 * `toJSONSchema` or `toJsonSchema`). Arguments that the schema refuses are answered with an error that names
 * the place and what was expected; the function is not called.
 *
 * @throws {@link InvalidOption} for an option with an unusable value, which the message names; that includes a
 * schema from which no JSON schema can be made.
 */
export function tool<Parameters extends ToolParameters>(options: ToolOptions<Parameters>): Tool {
  const { parameters, execute } = checkedOptions(options, TOOL_NAMES);
  const written = definitionOf(options);
  const nullable = nullableParameters(JSON.stringify(written.parameters));
  const definition = { ...written, parameters: registered(written.parameters, nullable) };
  if (typeof execute !== "function") {
    throw new InvalidOption(`execute: expected a function, got ${describe(execute)}`);
  }
  const { name } = definition;
  return Object.freeze({
    name,
    definition,
    async call(input: unknown, context: ToolContext): Promise<ExternalToolCallResult> {
      try {
        const { value, problems } = await checkedArguments(parameters, completed(input, nullable));
        // A slip of the model's, which it can mend.
        if (problems.length > 0) {
          return errorResult(`invalid arguments for ${name}: ${problems.join("; ")}`);
        }
        context.signal.throwIfAborted();
        return toolResult(await execute(value as ToolArguments<Parameters>, context));
      } catch (error) {
        return failedResult(error);
      }
    },
  });
}

/**
 * The parameters as they are registered: what may be `null` is not required. The server itself refuses a call in
 * which a required parameter is missing, and takes `null` for missing.
 */
function registered(
  parameters: Record<string, unknown>,
  nullable: readonly string[],
): Record<string, unknown> {
  if (nullable.length === 0) return parameters;
  const required = (parameters.required as string[]).filter((name) => !nullable.includes(name));
  return { ...parameters, required };
}

/** The arguments with `null` for what was left out. */
function completed(input: unknown, nullable: readonly string[]): unknown {
  if (nullable.length === 0 || !isPlainObject(input ?? {})) return input;
  return { ...Object.fromEntries(nullable.map((name) => [name, null])), ...(input as object) };
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
    throw new InvalidOption(`description: expected a string, got ${describe(description)}`);
  }
  if (label !== undefined && typeof label !== "string") {
    throw new InvalidOption(`label: expected a string, got ${describe(label)}`);
  }
  return {
    name,
    ...(label !== undefined && { label }),
    description,
    parameters: jsonSchemaOf(parameters, jsonSchema),
  };
}
