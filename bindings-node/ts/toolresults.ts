/** What a tool returns or throws, as the result that goes over the wire (section 14). */

import { types } from "node:util";
import { describe, isError } from "./describe.js";
import { fieldNamed, jsonText, kindOf, type Refuse } from "./json.js";
import type { ExternalToolCallResult, ExternalToolCallResultContent } from "./protocol.js";

/** The model reads this; whoever throws a page of text does not mean it to be read by a model. */
const LONGEST_ERROR = 1000;

/** The keys of a result; of the last two the first is what the wire has. */
const KEYS: ReadonlySet<string> = new Set(["content", "is_error", "isError"]);

/** The results of tools that have failed themselves, for whoever counts them. */
const failures = new WeakSet<object>();

/**
 * The result of a tool that has returned a value.
 *
 * A text stands for itself; nothing is `done`; bytes are an image when they begin as PNG, JPEG, GIF or
 * WebP do, else UTF-8 text, else base64 text that says so; a list that holds bytes is a part for each item;
 * `{ content: [{ type: "text" | "image", … }], is_error? }` with no other keys is taken as it is; an `Error`
 * counts as thrown; everything else becomes its JSON text.
 *
 * Throws a `TypeError` for what has no JSON.
 */
export function toolResult(value: unknown): ExternalToolCallResult {
  if (isError(value)) return failedResult(value);
  if (isResult(value)) return onTheWire(value);
  const rich = Array.isArray(value) && value.some((item) => types.isUint8Array(item));
  return { content: rich ? (value as unknown[]).map(partOf) : [partOf(value)] };
}

/** The text of a result; throws a `TypeError` for one that is made by hand and has no JSON. */
export function resultText(result: ExternalToolCallResult): string {
  return jsonText(result, noJson);
}

/** The result that says what went wrong, shortened. */
export function errorResult(error: unknown): ExternalToolCallResult {
  const words = describe(error) || (isError(error) ? error.name : "the tool failed");
  return { content: [textPart(shortened(words))], is_error: true };
}

/** The same of a tool that has failed itself, which is no fault of its caller. */
export function failedResult(error: unknown): ExternalToolCallResult {
  const result = errorResult(error);
  failures.add(result);
  return result;
}

/** Whether a result is that of a tool that has failed itself. */
export function isFailure(result: unknown): boolean {
  return typeof result === "object" && result !== null && failures.has(result);
}

function shortened(words: string): string {
  if (words.length <= LONGEST_ERROR) return words;
  // Half a character, the first of two units, has no place in JSON.
  return `${words.slice(0, LONGEST_ERROR).replace(/[\ud800-\udbff]$/, "")}…`;
}

function partOf(value: unknown): ExternalToolCallResultContent {
  return types.isUint8Array(value) ? bytesPart(value) : textPart(textOf(value));
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return "done";
  if (typeof value === "string") return value;
  // JSON would have it that NaN and what is beyond all numbers is nothing.
  return typeof value === "number" ? String(value) : textOfData(value);
}

function textPart(text: string): ExternalToolCallResultContent {
  return { type: "text", text };
}

function bytesPart(bytes: Uint8Array): ExternalToolCallResultContent {
  const { buffer, byteOffset, byteLength } = bytes;
  const mimeType = imageType(bytes);
  const data = () => Buffer.from(buffer, byteOffset, byteLength).toString("base64");
  if (mimeType !== undefined) return { type: "image", data: data(), mimeType };
  try {
    // What marks the beginning of a file is no part of its text.
    return textPart(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return textPart(`(${byteLength} bytes as base64)\n${data()}`);
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

/** Whether a value is a whole result. Other things have a `content` too: they would be lost but for that. */
function isResult(value: unknown): value is ExternalToolCallResult & { isError?: boolean } {
  if (typeof value !== "object" || value === null) return false;
  const { content, ...rest } = value as { content?: unknown };
  return (
    Array.isArray(content) &&
    Object.values(rest).every((flag) => typeof flag === "boolean" || flag === undefined) &&
    Object.keys(value).every((key) => KEYS.has(key)) &&
    content.every((part: { type?: unknown } | null) =>
      ["text", "image"].includes(String(part?.type)),
    )
  );
}

function onTheWire(result: ExternalToolCallResult & { isError?: boolean }): ExternalToolCallResult {
  const { isError: failed, ...rest } = result;
  // What has its form already may be known by whoever made it.
  if (!("isError" in result)) return result;
  return failed === undefined ? rest : { is_error: failed, ...rest };
}

const noJson: Refuse = (path, words) =>
  new TypeError(`the tool's result: ${path === "" ? "" : `${fieldNamed(path)}: `}${words}`);

/** A Map, a Blob or an ArrayBuffer would lose all that is in it without a word. */
function textOfData(value: unknown): string {
  return jsonText(value, (path, words) => {
    if (path !== "") return noJson(path, words);
    return new TypeError(`the tool returned a ${kindOf(value)}, which cannot be written as JSON`);
  });
}
