/** From what the user passes in to the text of a command. */

import { randomUUID } from "node:crypto";
import { describe } from "./describe.js";
import { InvalidCommand } from "./errors.js";
import { FRAME_DEPTH, fieldNamed, jsonText } from "./json.js";
import { requestIdRule } from "./native.cjs";
import { fromOutside } from "./stacks.js";

/** A command before the engine has checked it. */
export type Command = Record<string, unknown> & { type: string; request_id?: string };

function show(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" && value !== null ? "an object" : describe(value);
}

/** An object, and neither an array nor `null`. */
export function checkedCommand<T>(value: T, name = "command"): T & object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new InvalidCommand(`${name}: expected an object, got ${show(value)}`);
  }
  return value;
}

/** The text of a command; names the field that has none. */
export function commandText(command: object): string {
  const refuse = (path: string, words: string) =>
    fromOutside(new InvalidCommand(`${fieldNamed(path)}: ${words}`));
  return jsonText(command, refuse, FRAME_DEPTH);
}

/** A command from its type and the other fields: a copy, made as V8 makes it fastest. */
export function typed(type: string, fields: object): Command {
  const command: Command = { type, ...fields };
  command.type = type;
  return command;
}

/** How the ids of commands of a type begin, as the engine has them. */
export const prefixOf = (type: string) => type.replaceAll("_", "-");

/** How the id begins that the engine would add to a command; `undefined` where it would add none. */
export function prefixOfId(command: object, asks: boolean): string | undefined {
  const { type, request_id: id } = checkedCommand(command) as Record<string, unknown>;
  if (typeof type !== "string" || id !== undefined) return undefined;
  const rule = requestIdRule(type);
  return rule === "none" || (rule === "optional" && !asks) ? undefined : prefixOf(type);
}

/** Gives every message of an input an id, so that `onSend` sees what goes over the wire (section 17.2). */
export function withClientMessageIds(command: Command): Command {
  const payload = command.payload as { messages?: unknown } | null | undefined;
  if (!Array.isArray(payload?.messages)) return command;
  const messages = payload.messages.map((message: unknown) => {
    if (typeof message !== "object" || message === null) return message;
    const { client_message_id: id } = message as { client_message_id?: unknown };
    return id === undefined || id === ""
      ? { ...message, client_message_id: randomUUID() }
      : message;
  });
  return { ...command, payload: { ...payload, messages } };
}
