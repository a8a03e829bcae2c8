/** Whatever a server says reaches handlers as it was said. */

import { type AppServerClient, rawText } from "@letta/app-client-native";
import type { MockServer } from "@letta/app-client-native/testing";
import { describe, expect, it } from "vitest";
import { connected, startMock } from "./helpers.js";
import { linesOf, traceFiles } from "./playback.js";

type Frame = Record<string, unknown> & { type: string };

/** Every frame of every recorded server. */
const recorded: Frame[] = traceFiles()
  .flatMap(linesOf)
  .filter(({ dir, frame }) => dir === "recv" && typeof frame?.type === "string")
  .map(({ frame }) => frame as unknown as Frame);

/** A few of each type. */
function few(most: number): Frame[] {
  const counts = new Map<string, number>();
  return recorded.filter(({ type }) => {
    const count = (counts.get(type) ?? 0) + 1;
    counts.set(type, count);
    return count <= most;
  });
}

async function pair(): Promise<[MockServer, AppServerClient]> {
  const mock = await startMock();
  const client = await connected(mock);
  await client.info();
  return [mock, client];
}

/** Pushes texts; gives what handlers got for them. */
async function through(texts: string[]): Promise<Frame[]> {
  const [mock, client] = await pair();
  const frames: Frame[] = [];
  const last = new Promise<void>((resolve) => {
    client.onMessage((message) => {
      if ((message.type as string) === "the_last_one") resolve();
      else frames.push(message as unknown as Frame);
    });
  });
  for (const text of texts) mock.push(text);
  mock.push({ type: "the_last_one" });
  await last;
  expect(client.stats).toMatchObject({ dropped: 0, malformed: 0, handlerErrors: 0 });
  return frames;
}

async function expectUnchanged(texts: string[]): Promise<void> {
  const frames = await through(texts);
  expect(frames).toHaveLength(texts.length);
  for (const [at, text] of texts.entries()) {
    const frame = frames[at] as Frame;
    expect(rawText(frame)).toBe(text);
    expect(frame).toEqual(JSON.parse(text));
  }
}

describe("frames reach handlers byte for byte:", () => {
  it("all recorded ones", async () => {
    expect(new Set(recorded.map(({ type }) => type)).size).toBeGreaterThan(60);
    await expectUnchanged(recorded.map((frame) => JSON.stringify(frame)));
  });

  it("with fields that nobody knows, at the top and inside", async () => {
    const texts = few(5).map((frame) => {
      const inside = Object.entries(frame).map(([key, value]) => {
        const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
        return [key, isObject ? { ...value, another: "kept" } : value];
      });
      return JSON.stringify({ ...Object.fromEntries(inside), a_new_field: { deep: [1, null] } });
    });
    await expectUnchanged(texts);
  });

  it("of a type that nobody knows", async () => {
    await expectUnchanged(few(5).map((frame) => JSON.stringify({ ...frame, type: "brand_new" })));
  });

  it("with fields of other types", async () => {
    const seen = new Set<string>();
    const texts = few(5).flatMap((frame) => {
      const keys = Object.keys(frame).filter((key) => key !== "type");
      const fresh = keys.filter((key) => !seen.has(`${frame.type} ${key}`));
      for (const key of fresh) seen.add(`${frame.type} ${key}`);
      return fresh.map((key) => JSON.stringify({ ...frame, [key]: [{ of: "another type" }] }));
    });
    expect(texts.length).toBeGreaterThan(300);
    await expectUnchanged(texts);
  });

  it("with integers that JavaScript cannot hold, and white space", async () => {
    const texts = few(2).map((frame) => {
      const rest = JSON.stringify(frame).slice(1);
      return `{ "big": 18446744073709551615,\t"precise": 1.50, ${rest}`;
    });
    await expectUnchanged(texts);
    expect(texts[0]).toContain("18446744073709551615");
  });
});
