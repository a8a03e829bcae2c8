/** Frames as JavaScript objects, and the text each of them came as. */

import type { AppServerInfoResponseMessage } from "./protocol.js";

/** Which socket a frame came on; a one-socket server has only `control` (section 2.1). */
export type AppServerChannel = "control" | "stream";

/** Gives what it is called with, so that a class built on it adds its private fields to that. */
class Given {
  constructor(object: object) {
    // biome-ignore lint/correctness/noConstructorReturn: that is what it is for.
    return object;
  }
}

/**
 * A frame that knows its text, in a way that nobody sees: a private field costs a third of an entry in a
 * `WeakMap`, and the garbage collector nothing.
 */
class Read extends Given {
  readonly #text: string;

  constructor(frame: object, text: string) {
    super(frame);
    this.#text = text;
  }

  static textOf(frame: object): string | undefined {
    return typeof frame === "object" && frame !== null && #text in frame ? frame.#text : undefined;
  }
}

/** The frame of a text, with which `rawText` finds the text again. */
export function parsedFrame<T extends object>(text: string): T {
  const frame = JSON.parse(text) as T;
  new Read(frame, text);
  return frame;
}

const NOTHING = {};

/** Parses the frames of one client. */
export class FrameParser {
  #text = "";
  #message: object = NOTHING;

  /** A frame that handlers get. */
  frame<T extends object>(text: string): T {
    const message = parsedFrame<T>(text);
    this.#text = text;
    this.#message = message;
    return message;
  }

  /** A frame that a call gets: the object that the handlers have just had, if it is the same frame. */
  again<T extends object>(text: string): T {
    return text === this.#text ? (this.#message as T) : this.frame(text);
  }

  /** Lets go of the last frame. */
  forget(): void {
    this.#text = "";
    this.#message = NOTHING;
  }
}

/**
 * The wire text of a message, byte for byte, with integers above 2^53 as the server wrote them.
 *
 * `undefined` for an object that did not come from a handler or a call of this package.
 */
export function rawText(message: object): string | undefined {
  return Read.textOf(message);
}

const REQUIRED_CAPABILITIES = [
  "agent_management",
  "conversation_management",
  "memory_management",
  "runtime_start",
  "split_channels",
];
const OPTIONAL_CAPABILITIES = ["runtime_workspace_sandbox", "runtime_external_tools_update"];

function record(value: unknown): Record<string, unknown> | undefined {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
  return isRecord ? (value as Record<string, unknown>) : undefined;
}

/** Whether a value is a complete `app_server_info_response` (section 3). */
export function isAppServerInfoResponseMessage(
  message: unknown,
): message is AppServerInfoResponseMessage {
  const info = record(message);
  const capabilities = record(info?.capabilities);
  if (!info || !capabilities) return false;
  const isBoolean = (name: string) => typeof capabilities[name] === "boolean";
  return (
    info.type === "app_server_info_response" &&
    typeof info.request_id === "string" &&
    info.request_id !== "" &&
    info.success === true &&
    (info.backend === "local" || info.backend === "api") &&
    typeof info.letta_code_version === "string" &&
    Number.isInteger(info.protocol_version) &&
    REQUIRED_CAPABILITIES.every(isBoolean) &&
    OPTIONAL_CAPABILITIES.every((name) => capabilities[name] === undefined || isBoolean(name))
  );
}
