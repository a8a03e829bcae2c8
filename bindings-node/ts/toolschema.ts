/** The JSON schema that the server and the model get of a tool's parameters (section 14). */

import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { jsonText } from "./json.js";
import { isPlainObject } from "./plain.js";
import { isStandardSchema, type StandardSchemaV1 } from "./standardschema.js";

/** A JSON schema of an object, as it goes over the wire. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** The parameters of a tool: a schema of a library that follows Standard Schema, or a JSON schema. */
export type ToolParameters = StandardSchemaV1 | JsonSchema;

/** The names of two options: the schema, and its JSON schema where the library does not write it. */
export interface SchemaNames {
  readonly schema: string;
  readonly json: string;
}

/** What the small one of zod's packages leaves to its user. Older versions, which have no such function, have no `_zod`. */
const isZodMini = (schema: object) => "_zod" in schema;

const miniHintOf = ({ json }: SchemaNames) =>
  `zod/mini writes no JSON schema by itself: give ${json}: z.toJSONSchema(schema, { io: "input" })`;

const hintOf = ({ json }: SchemaNames) =>
  `give the JSON schema as ${json}, or use a schema whose library writes it: zod 4, arktype 2, or ` +
  "valibot within toStandardJsonSchema of @valibot/to-json-schema";

/**
 * The JSON schema of parameters: the given one, else the parameters themselves, else what the
 * schema's library makes of them. It describes what the model has to write, not what the schema makes
 * of that.
 *
 * @throws {@link InvalidOption} when there is none, or when it is not one of an object: the arguments of
 * a call are always an object.
 */
export function jsonSchemaOf(
  parameters: ToolParameters,
  given: JsonSchema | undefined,
): Record<string, unknown> {
  const names = { schema: "parameters", json: "jsonSchema" };
  const schema = anySchemaOf(names, parameters, given);
  const { type } = schema;
  if (type !== undefined && type !== "object") {
    const option = given === undefined ? names.schema : names.json;
    const words = `${option}: expected a schema of an object, got one of type ${describe(type)}`;
    throw new InvalidOption(words);
  }
  return schema;
}

/**
 * The same for values of any type, and for options of other names.
 *
 * @throws {@link InvalidOption} when there is none.
 */
export function anySchemaOf(
  names: SchemaNames,
  schema: ToolParameters,
  given: JsonSchema | undefined,
): Record<string, unknown> {
  // Schemas of libraries without the standard are objects of classes, and no JSON schemas.
  if (!isStandardSchema(schema) && !isPlainObject(schema)) {
    const words = `${names.schema}: expected a Standard Schema or a JSON schema object`;
    throw new InvalidOption(words, { hint: hintOf(names) });
  }
  if (given !== undefined) return checked(names.json, given);
  if (!isStandardSchema(schema)) return checked(names.schema, schema);
  return checked(names.schema, written(names, schema));
}

/** What the library makes of its schema. */
function written(names: SchemaNames, schema: StandardSchemaV1): unknown {
  const { vendor, jsonSchema } = schema["~standard"];
  const methods = schema as { toJSONSchema?: unknown; toJsonSchema?: unknown };
  const refuse = (words: string) =>
    new InvalidOption(`${names.schema}: ${words}`, { hint: hintOf(names) });
  try {
    if (typeof jsonSchema?.input === "function") {
      return jsonSchema.input({ target: "draft-2020-12" });
    }
    if (typeof methods.toJSONSchema === "function") {
      // So zod calls it, whose default is the form behind defaults and transformations.
      return methods.toJSONSchema({ io: "input" });
    }
    if (typeof methods.toJsonSchema === "function") return methods.toJsonSchema();
  } catch (error) {
    throw refuse(`${vendor} cannot write this as a JSON schema: ${describe(error)}`);
  }
  const words = `this schema of ${vendor} has no JSON schema`;
  if (!isZodMini(schema)) throw refuse(words);
  throw new InvalidOption(`${names.schema}: ${words}`, { hint: miniHintOf(names) });
}

function checked(option: string, schema: unknown): Record<string, unknown> {
  if (!isPlainObject(schema)) {
    throw new InvalidOption(`${option}: expected a JSON schema object, got ${describe(schema)}`);
  }
  jsonText(schema, (path, words) => {
    return new InvalidOption(`${option}${path && `.${path}`}: ${words}`);
  });
  return schema;
}
