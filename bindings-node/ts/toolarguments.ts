/** The arguments of a tool call, judged by the tool's schema. */

import { checkToolArguments } from "./native.cjs";
import { isStandardSchema, type StandardSchemaIssue } from "./standardschema.js";
import type { ToolParameters } from "./toolschema.js";

/** More would not help a model to mend its call. */
const MOST_ISSUES = 8;

/** What the function gets, or what is wrong with that: where, and what was expected there. */
export interface CheckedArguments {
  value: unknown;
  problems: readonly string[];
}

/**
 * What a schema makes of the arguments, or what is wrong with them. By a JSON schema the engine judges them, which
 * looks at types, values of an `enum` and `required` names. A call without arguments has
 * those of an empty object, which is what a tool without parameters is called with.
 */
export async function checkedArguments(
  parameters: ToolParameters,
  input: unknown,
): Promise<CheckedArguments> {
  const value = input ?? {};
  if (!isStandardSchema(parameters)) {
    return {
      value,
      problems: checkToolArguments(JSON.stringify(parameters), JSON.stringify(value)),
    };
  }
  const checked = await parameters["~standard"].validate(value);
  if (checked.issues) {
    const [first = "they do not fit the schema", ...more] = issueLines(checked.issues);
    return { value, problems: [first, ...more] };
  }
  return { value: checked.value, problems: [] };
}

/** What is wrong with a value by the schema of a library, for the model: so many as help, and how many more there are. */
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
