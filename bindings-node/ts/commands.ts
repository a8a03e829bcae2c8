/** From what the user passes in to the text of a command. */

import { randomUUID } from "node:crypto";
import { describe } from "./describe.js";
import { InvalidCommand } from "./errors.js";

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

/** The text of a command. */
export function commandText(command: object): string {
  try {
    const text: unknown = JSON.stringify(command);
    if (typeof text === "string") return text;
  } catch (error) {
    throw new InvalidCommand(`command: cannot be written as JSON: ${describe(error)}`);
  }
  throw new InvalidCommand("command: cannot be written as JSON");
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
