/** The arguments of a tool call, judged by the tool's schema. */

import {
  isStandardSchema,
  type StandardSchemaIssue,
  type StandardSchemaResult,
} from "./standardschema.js";
import type { ToolParameters } from "./toolschema.js";

/** More would not help a model to mend its call. */
const MOST_ISSUES = 8;

/**
 * What a schema makes of the arguments, or what is wrong with them. A JSON schema is not applied,
 * which would need a library: its arguments only have to be an object. A call without arguments has
 * those of an empty object, which is what a tool without parameters is called with.
 */
export async function checkedArguments(
  parameters: ToolParameters,
  input: unknown,
): Promise<StandardSchemaResult<unknown>> {
  const value = input ?? {};
  if (isStandardSchema(parameters)) return parameters["~standard"].validate(value);
  if (typeof value === "object" && !Array.isArray(value)) return { value };
  return { issues: [{ message: `expected an object, received ${JSON.stringify(value)}` }] };
}

/** What is wrong with the arguments of a call, for the model: where, and what was expected there. */
export function issuesText(tool: string, issues: readonly StandardSchemaIssue[]): string {
  return `invalid arguments of ${tool}: ${issueLines(issues).join("; ")}`;
}

/** The same one by one: so many as help, and how many more there are. */
export function issueLines(issues: readonly StandardSchemaIssue[]): string[] {
  // A list of a library's own class need not know how to make another one of itself.
  const lines = Array.from(issues, ({ path, message }) => {
    const where = pathText(path ?? []);
    // Some libraries begin their messages with it.
    return where === "" || message.startsWith(`${where} `) ? message : `${where}: ${message}`;
  }).slice(0, MOST_ISSUES);
  const more = issues.length - lines.length;
  if (more > 0) lines.push(`and ${more} more`);
  return lines;
}

/** `items[0].name` */
function pathText(path: NonNullable<StandardSchemaIssue["path"]>): string {
  let text = "";
  for (const segment of path) {
    const key = typeof segment === "object" ? segment.key : segment;
    if (typeof key === "number") text += `[${key}]`;
    else text += text === "" ? String(key) : `.${String(key)}`;
  }
  return text;
}
