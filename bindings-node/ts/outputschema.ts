/** What the result of a turn has to look like. */

import type { NamesOf } from "./checks.js";
import { InvalidOption } from "./errors.js";
import { isStandardSchema, type SchemaOutput, type StandardSchemaV1 } from "./standardschema.js";
import { issueLines } from "./toolarguments.js";
import { anySchemaOf, type JsonSchema } from "./toolschema.js";

/**
 * The schema of a result: one of a library that follows Standard Schema (zod, valibot, arktype), which
 * validates it, or a JSON schema. Of that the engine demands the types, the values of an `enum` and the names in
 * `required`, of what is inside as well, and no other keywords.
 */
export type OutputSchema = StandardSchemaV1 | JsonSchema;

/** The type of the result: what the schema makes of it; of a JSON schema not more than `object` is known. */
export type OutputOf<Schema extends OutputSchema> = Schema extends StandardSchemaV1
  ? SchemaOutput<Schema>
  : Schema extends { readonly type: "object" }
    ? Record<string, unknown>
    : unknown;

/** What a schema makes of a value, or what is wrong with it, each line beginning with its field. */
export type CheckedOutput = { value: unknown; problems: [] } | { problems: [string, ...string[]] };

/** What is said of the form of a result. */
export interface OutputOptions {
  /** What the result has to look like. */
  outputSchema?: OutputSchema | undefined;
  /** The JSON schema for the model, where the library of `outputSchema` does not write it. */
  outputJsonSchema?: JsonSchema | undefined;
}

/** The options of a result's form. */
export const OUTPUT_NAMES: NamesOf<OutputOptions> = {
  outputSchema: "schema",
  outputJsonSchema: "schema",
};

/**
 * What the model is shown says nothing of what the program gets.
 *
 * @throws {@link InvalidOption} when there is but the one for the model.
 */
export function checkOutputOptions({ outputSchema, outputJsonSchema }: OutputOptions): void {
  if (outputSchema !== undefined || outputJsonSchema === undefined) return;
  throw new InvalidOption("outputJsonSchema: needs outputSchema, by which the result is judged", {
    hint: "a JSON schema can be the outputSchema itself",
  });
}

/**
 * The JSON schema that the agent is shown.
 *
 * @throws {@link InvalidOption} when there is none.
 */
export function outputJsonSchema(
  schema: OutputSchema,
  given: JsonSchema | undefined,
): Record<string, unknown> {
  return anySchemaOf({ schema: "outputSchema", json: "outputJsonSchema" }, schema, given);
}

/**
 * What the schema of a library makes of a result, which may convert what its JSON schema would not take; one by a JSON
 * schema is judged by the engine, which has found these problems. Rejects with what the schema's validation throws.
 */
export async function checkedOutput(
  schema: OutputSchema,
  value: unknown,
  found: readonly string[],
): Promise<CheckedOutput> {
  if (!isStandardSchema(schema)) {
    const [first, ...more] = found;
    return first === undefined ? { value, problems: [] } : { problems: [first, ...more] };
  }
  const checked = await schema["~standard"].validate(value);
  if (!checked.issues) return { value: checked.value, problems: [] };
  const [first = "does not fit the schema", ...more] = issueLines(checked.issues);
  return { problems: [first, ...more] };
}
