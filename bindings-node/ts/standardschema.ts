/**
 * The interface that schema libraries share (https://standardschema.dev), as far as tools need it. It is
 * written down here, as its authors suggest, so that the package depends on none of them at run time.
 */

/** A schema of zod, valibot, arktype or any other library that follows the standard. */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  readonly "~standard": StandardSchemaProps<Input, Output>;
}

/** What the standard defines of a schema. */
export interface StandardSchemaProps<Input = unknown, Output = Input> {
  readonly version: 1;
  /** The name of the library. */
  readonly vendor: string;
  /** Judges a value, at once or when the promise resolves. */
  readonly validate: (
    value: unknown,
  ) => StandardSchemaResult<Output> | Promise<StandardSchemaResult<Output>>;
  /** Exists for the compiler only. */
  readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  /** The extension "Standard JSON Schema", where the library offers it. */
  readonly jsonSchema?: StandardJsonSchemaConverter | undefined;
}

/** What became of a value: what the schema makes of it, or what is wrong with it. */
export type StandardSchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardSchemaIssue[] };

/** One thing that is wrong with a value. */
export interface StandardSchemaIssue {
  readonly message: string;
  /** Where it is; absent or empty for the value itself. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Writes a schema as JSON schema. Throws where that cannot be done. */
export interface StandardJsonSchemaConverter {
  readonly input: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown>;
}

/** The type of what a schema makes of valid values. */
export type SchemaOutput<Schema extends StandardSchemaV1> = NonNullable<
  Schema["~standard"]["types"]
>["output"];

/** Whether a value is such a schema. Those of arktype are functions. */
export function isStandardSchema(value: unknown): value is StandardSchemaV1 {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  const props = (value as { "~standard"?: { validate?: unknown } | null })["~standard"];
  return typeof props?.validate === "function";
}
