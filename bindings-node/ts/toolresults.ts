/** What a tool returns or throws, as the result that goes over the wire (section 14). */

import { types } from "node:util";
import { describe } from "./describe.js";
import { isPlainObject } from "./plain.js";
import type { ExternalToolCallResult } from "./protocol.js";

/** The model reads this; whoever throws a page of text does not mean it to be read by a model. */
const LONGEST_ERROR = 1000;

const ACCEPTED = "a PNG, JPEG, GIF or WebP image nor UTF-8 text";

/**
 * The result of a tool that has returned a value.
 *
 * A text stands for itself; nothing is `done`; bytes are an image when they begin as PNG, JPEG, GIF or
 * WebP do, else UTF-8 text; `{ content: [{ type, … }], is_error? }` is taken as it is; an `Error`
 * counts as thrown; everything else becomes its JSON text.
 *
 * Throws a `TypeError` for what has no JSON, and for bytes that are neither.
 */
export function toolResult(value: unknown): ExternalToolCallResult {
  if (value === undefined) return textResult("done");
  if (typeof value === "string") return textResult(value);
  if (types.isUint8Array(value)) return bytesResult(value);
  if (value instanceof Error) return errorResult(value);
  if (isResult(value)) return value;
  return textResult(jsonText(value));
}

/** The result of a tool that has failed: what the error says, shortened. */
export function errorResult(error: unknown): ExternalToolCallResult {
  const words = describe(error) || (error instanceof Error ? error.name : "the tool failed");
  return { ...textResult(shortened(words)), is_error: true };
}

function shortened(words: string): string {
  if (words.length <= LONGEST_ERROR) return words;
  // Half a character, the first of two units, has no place in JSON.
  return `${words.slice(0, LONGEST_ERROR).replace(/[\ud800-\udbff]$/, "")}…`;
}

function textResult(text: string): ExternalToolCallResult {
  return { content: [{ type: "text", text }] };
}

function bytesResult(bytes: Uint8Array): ExternalToolCallResult {
  const mimeType = imageType(bytes);
  if (mimeType !== undefined) {
    const { buffer, byteOffset, byteLength } = bytes;
    const data = Buffer.from(buffer, byteOffset, byteLength).toString("base64");
    return { content: [{ type: "image", data, mimeType }] };
  }
  try {
    return textResult(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new TypeError(`the tool returned ${bytes.length} bytes that are neither ${ACCEPTED}`);
  }
}

/** The type of an image by its first bytes: an image that is none can end the whole turn. */
function imageType(bytes: Uint8Array): string | undefined {
  const head = String.fromCharCode(...bytes.subarray(0, 12));
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  if (head.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (head.startsWith("GIF87a") || head.startsWith("GIF89a")) return "image/gif";
  if (head.startsWith("RIFF") && head.endsWith("WEBP")) return "image/webp";
  return undefined;
}

/** Whether a value has the form of the wire. Other things have a `content` too. */
function isResult(value: unknown): value is ExternalToolCallResult {
  const { content } = (value ?? {}) as { content?: unknown };
  return (
    Array.isArray(content) &&
    content.every((part: { type?: unknown } | null) => typeof part?.type === "string")
  );
}

function jsonText(value: unknown): string {
  // Types notwithstanding, functions and symbols give no text.
  const text: unknown = JSON.stringify(value);
  // A Map, a Blob or an ArrayBuffer would lose all that is in it without a word.
  if (typeof text !== "string" || (text === "{}" && !isPlainObject(value))) {
    throw new TypeError(`the tool returned a ${kindOf(value)}, which has no JSON`);
  }
  return text;
}

function kindOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return typeof value;
  return value.constructor?.name || "object";
}
