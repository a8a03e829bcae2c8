import { runInNewContext } from "node:vm";
import type { ExternalToolCallResult } from "@letta/app-client-native";
import { describe, expect, it } from "vitest";
import { context, failure, plain, text } from "./tooling.js";

const returned = (value: unknown) => plain(() => value).call({}, context());

describe("what a tool returns", () => {
  const gif = Buffer.from("GIF89a\x01\x00\x01\x00", "latin1");
  const png = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  const jpeg = Buffer.from("\xff\xd8\xff\xe0", "latin1");
  const webp = Buffer.from("RIFF\x04\x00\x00\x00WEBPVP8 ", "latin1");

  it.each<[string, unknown, string]>([
    ["a text", "found", "found"],
    ["an empty text", "", ""],
    ["nothing", undefined, "done"],
    ["null", null, "done"],
    ["a number", 7, "7"],
    ["no number", Number.NaN, "NaN"],
    ["more than all numbers", Number.POSITIVE_INFINITY, "Infinity"],
    ["less than all numbers", Number.NEGATIVE_INFINITY, "-Infinity"],
    ["other bytes", Uint8Array.of(0xc3, 0x28, 0xff), "(3 bytes as base64)\nwyj/"],
    ["bytes of a text with a mark", Uint8Array.of(0xef, 0xbb, 0xbf, 0x61), "a"],
    ["a mark that is none", { content: [], is_error: "no" }, '{"content":[],"is_error":"no"}'],
    ["an empty content among others", { content: [], total: 0 }, '{"content":[],"total":0}'],
    [
      "content with other parts",
      { content: [{ type: "heading" }], title: "x" },
      '{"content":[{"type":"heading"}],"title":"x"}',
    ],
    ["other parts alone", { content: [{ type: "row" }] }, '{"content":[{"type":"row"}]}'],
    [
      "a result among others",
      { content: [{ type: "text", text: "a" }], total: 1 },
      '{"content":[{"type":"text","text":"a"}],"total":1}',
    ],
    ["a truth", false, "false"],
    ["an object", { id: 7 }, '{"id":7}'],
    ["an empty object", {}, "{}"],
    ["a list", [1, "a"], '[1,"a"]'],
    ["a date", new Date(0), '"1970-01-01T00:00:00.000Z"'],
    ["content of another kind", { content: "text" }, '{"content":"text"}'],
    ["a list as content", { content: ["text"] }, '{"content":["text"]}'],
    ["bytes of a text", new TextEncoder().encode("grüß"), "grüß"],
    ["bytes of another realm", runInNewContext("new Uint8Array([104, 105])"), "hi"],
  ])("becomes a text: %s", async (_, value, words) => {
    expect(await returned(value)).toEqual(text(words));
  });

  it.each([
    ["image/png", png],
    ["image/jpeg", jpeg],
    ["image/gif", gif],
    ["image/webp", webp],
  ])("becomes an image: %s", async (mimeType, bytes) => {
    // A view into a larger buffer, as files are often read.
    const view = new Uint8Array(Buffer.concat([Buffer.from("??"), bytes])).subarray(2);
    expect(await returned(view)).toEqual({
      content: [{ type: "image", data: bytes.toString("base64"), mimeType }],
    });
  });

  it("goes as it is in the form of the wire", async () => {
    const result: ExternalToolCallResult = {
      content: [{ type: "text", text: "half done" }],
      is_error: true,
    };
    expect(await returned(result)).toEqual(result);
    expect(await returned({ content: [] })).toEqual({ content: [] });
    const { content } = result;
    expect(await returned({ content, isError: true })).toEqual(result);
    expect(await returned({ content, isError: undefined })).toEqual({ content });
  });

  it("is a part for each item of a list that holds bytes", async () => {
    const list = ["look", png, new TextEncoder().encode("hi"), { n: 1 }, null, Uint8Array.of(0xff)];
    expect(await returned(list)).toEqual({
      content: [
        { type: "text", text: "look" },
        { type: "image", data: png.toString("base64"), mimeType: "image/png" },
        { type: "text", text: "hi" },
        { type: "text", text: '{"n":1}' },
        { type: "text", text: "done" },
        { type: "text", text: "(1 bytes as base64)\n/w==" },
      ],
    });
  });

  it.each<[string, unknown, string]>([
    ["a function", () => 1, "returned a function, which cannot be written as JSON"],
    ["a symbol", Symbol("a"), "returned a symbol, which cannot be written as JSON"],
    ["a big integer", 1n, "returned a bigint, which cannot be written as JSON"],
    ["a big integer that is false", 0n, "returned a bigint, which cannot be written as JSON"],
    ["a map", new Map([[1, 2]]), "returned a Map, which cannot be written as JSON"],
    [
      "a buffer of no kind",
      new ArrayBuffer(2),
      "returned a ArrayBuffer, which cannot be written as JSON",
    ],
    ["an error", new Error("no luck"), "no luck"],
    ["an error of another realm", runInNewContext("new Error('no luck')"), "no luck"],
  ])("is an error: %s", async (_, value, words) => {
    expect(await returned(value)).toEqual(failure(expect.stringContaining(words)));
  });

  it("is an error: an object that contains itself", async () => {
    const value: Record<string, unknown> = {};
    value.self = value;
    expect(await returned(value)).toMatchObject({ is_error: true });
  });
});

describe("what a tool throws", () => {
  it.each<[string, unknown, string]>([
    ["an error", new Error("no luck"), "no luck"],
    ["an error without a text", new RangeError(), "RangeError"],
    ["an error of another realm", runInNewContext("new TypeError('no luck')"), "no luck"],
    ["one without a text", runInNewContext("new TypeError()"), "TypeError"],
    ["a text", "thrown text", "thrown text"],
    ["an empty text", "", "the tool failed"],
    ["an object without a text", Object.create(null), "a value without a text"],
    ["a page with a long character", new Error(`${"x".repeat(999)}😀😀`), `${"x".repeat(999)}…`],
    ["a page of text", new Error("x".repeat(5000)), `${"x".repeat(1000)}…`],
  ])("is told by its message: %s", async (_, error, words) => {
    const failing = plain(() => {
      throw error;
    });
    expect(await failing.call({}, context())).toEqual(failure(words));
  });
});
