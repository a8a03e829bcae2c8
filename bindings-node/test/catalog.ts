/** The protocol's catalog, and values of its types. */

import { readFileSync } from "node:fs";

interface Field {
  type: string;
  required: boolean;
  generations?: string[];
}

type Fields = Record<string, Field>;

/** A message of the catalog. */
export interface Message {
  type: string;
  kind: "command" | "response" | "event";
  group: string;
  method: string;
  /** `null` where there is none. */
  response_type: string | null;
  request_id: "required" | "optional" | "none";
  fields: Fields;
}

interface Catalog {
  messages: Message[];
  types: Record<string, { fields: Fields }>;
  enums: Record<string, string[]>;
}

const file = new URL("../../protocol/catalog.json", import.meta.url);
const catalog = JSON.parse(readFileSync(file, "utf8")) as Catalog;

export const commands = catalog.messages.filter(({ kind }) => kind === "command");

/** The message of a type that a server sends. */
export function received(type: string): Message {
  const found = catalog.messages.find((it) => it.type === type && it.kind !== "command");
  if (!found) throw new Error(`${type} is not in the catalog`);
  return found;
}

/** What a REST body has to have. */
const BODIES: Record<string, unknown> = { MessageCreate: { role: "user", content: "Hi" } };

/** Splits where no bracket or string is open. */
function split(text: string, separator: string): string[] {
  const parts = [""];
  let [depth, quoted] = [0, false];
  for (const letter of text) {
    if (letter === '"') quoted = !quoted;
    if (!quoted && "({[<".includes(letter)) depth += 1;
    if (!quoted && ")}]>".includes(letter)) depth -= 1;
    if (letter === separator && depth === 0 && !quoted) parts.push("");
    else parts[parts.length - 1] += letter;
  }
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}

/** A value of a type expression, with one item in every list. */
export function sample(expression: string): unknown {
  const text = expression.trim();
  const choices = split(text, "|").filter((choice) => choice !== "null");
  if (choices.length > 1) return sample(choices[0] as string);
  const [first = "null"] = choices;
  const parts = split(first, "&");
  if (parts.length > 1) return Object.assign({}, ...parts.map(sample));
  if (first.endsWith("[]")) return [sample(first.slice(0, -2))];
  const inner = first.slice(1, -1);
  if (first.startsWith("(")) return sample(inner);
  if (first.startsWith("[")) return split(inner, ",").map(sample);
  if (first.startsWith('"')) return inner;
  if (first.startsWith("{")) {
    const members = split(inner, ";").map((member) => /^(\w+)(\??): (.*)$/s.exec(member));
    const required = members.filter((member) => member?.[2] === "");
    return Object.fromEntries(required.map((member) => [member?.[1], sample(member?.[3] ?? "")]));
  }
  if (first.startsWith("map<")) {
    const [, value = ""] = split(first.slice("map<".length, -1), ",");
    return { key: sample(value) };
  }
  if (first.startsWith("Omit<")) {
    const [from = "", key = ""] = split(first.slice("Omit<".length, -1), ",");
    return { ...(sample(from) as object), [JSON.parse(key)]: undefined };
  }
  const words = catalog.enums[first];
  if (words) return words[0];
  const named = catalog.types[first];
  if (named) return samples(named.fields, false);
  return plain(first);
}

function plain(name: string): unknown {
  switch (name) {
    case "string":
      return "text";
    case "number":
      return 7;
    case "boolean":
    case "true":
      return true;
    case "null":
      return null;
    case "unknown":
      return { any: "thing" };
    default:
      return BODIES[name] ?? {};
  }
}

/** Values of all fields, or of those that are required. */
export function samples(fields: Fields, optional: boolean): Record<string, unknown> {
  const wanted = Object.entries(fields).filter(
    ([name, { required }]) => (required || optional) && name !== "type" && name !== "request_id",
  );
  return Object.fromEntries(wanted.map(([name, { type }]) => [name, sample(type)]));
}
