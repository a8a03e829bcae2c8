/** Readers who do not keep up: nothing that matters is lost, and what is lost is counted. */

import { InvalidOption, Lagged } from "@letta/app-client-native";
import { script } from "@letta/app-client-native/testing";
import { expect, it, onTestFinished } from "vitest";
import { connected, rejection, say, startMock, startRuntime, thrown } from "./helpers.js";

const PIECES = 80_000;

async function pair() {
  const mock = await startMock();
  const client = await connected(mock);
  await client.info();
  const last = client.messages({ types: ["last"] });
  /** Resolves when everything that was pushed before has come. */
  const settled = () => {
    mock.push({ type: "last" });
    return last.next();
  };
  return { mock, client, settled };
}

const finished = (turn: number) => ({ type: "turn_finished", turn_id: `${turn}` });
const changed = (path: number) => ({ type: "file_changed", path: `/${path}`, lastModified: 1 });

// The server double, which is built for tests, takes most of the time.
it("has the whole text after the thread was blocked", { timeout: 300_000 }, async () => {
  const pieces = Array.from({ length: PIECES }, (_, at) => `${at};`);
  const mock = await startMock([script.turn({ text: pieces, toolCalls: [{ name: "Read" }] })]);
  const client = await connected(mock);
  onTestFinished(client.onLagged(() => {}));
  const runtime = await startRuntime(client);
  const turn = client.sendTurn({ runtime, payload: say("hi") });
  const ends = client.messages({ types: ["turn_finished"], overflow: "raise" });
  // This thread fetches nothing while it sleeps.
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  while (client.stats.frames < PIECES) Atomics.wait(sleeper, 0, 0, 20);
  const texts: string[] = [];
  let [merged, calls] = [0, 0];
  for await (const event of turn) {
    if (event.type === "assistant_delta") texts.push(event.text);
    if (event.type === "tool_call_start" || event.type === "tool_call_end") calls += 1;
    if (event.type === "lagged") {
      expect(event.dropped).toBe(0);
      merged += event.merged;
    }
  }
  const result = await turn;
  // Not by the matcher, which would print both.
  expect(texts.join("") === pieces.join("")).toBe(true);
  expect(result.text === pieces.join("")).toBe(true);
  expect(texts.length + merged).toBe(PIECES);
  expect(texts.length).toBeLessThan(65_536);
  expect([calls, result.status]).toEqual([2, "completed"]);
  // Of frames the oldest were lost, but never this one.
  expect(client.stats.dropped).toBeGreaterThan(0);
  expect((await ends.next()).value?.type).toBe("turn_finished");
});

it("keeps what ends a turn where others go", async () => {
  const { mock, client, settled } = await pair();
  const few = client.messages({ limit: 3 });
  for (let at = 0; at < 5; at += 1) {
    mock.push(finished(at));
    mock.push(changed(at));
  }
  await settled();
  for (let at = 0; at < 5; at += 1) {
    expect((await few.next()).value).toMatchObject({ type: "turn_finished", turn_id: `${at}` });
  }
  expect(few.dropped).toBe(6);
  mock.push(changed(9));
  expect((await few.next()).value).toMatchObject({ path: "/9" });
});

it("counts bytes as well as messages", async () => {
  const { mock, client, settled } = await pair();
  const few = client.messages({ types: ["large"], maxBytes: 5000 });
  for (let at = 0; at < 10; at += 1) mock.push({ type: "large", at, text: "ü".repeat(500) });
  await settled();
  expect(few.dropped).toBe(6);
  mock.push({ type: "large", at: 10, text: "x".repeat(9000) });
  await settled();
  expect((await few.next()).value).toMatchObject({ at: 10 });
  expect(few.dropped).toBe(10);
});

it("tells a reader who wants to be told, after what had come", async () => {
  const { mock, client, settled } = await pair();
  const few = client.messages({ types: ["file_changed"], limit: 3, overflow: "raise" });
  for (let at = 0; at < 5; at += 1) mock.push(changed(at));
  await settled();
  for (let at = 0; at < 3; at += 1) {
    expect((await few.next()).value).toMatchObject({ path: `/${at}` });
  }
  const error = await rejection(few.next());
  expect(error).toBeInstanceOf(Lagged);
  expect(error).toMatchObject({ code: "lagged", droppedCount: 2, retryable: false });
  mock.push(changed(5));
  await settled();
  expect(await few.next()).toEqual({ done: true, value: undefined });
});

it.each([
  [{ limit: 0 }, "limit"],
  [{ maxBytes: 0.5 }, "maxBytes"],
  [{ overflow: "block" }, "overflow"],
])("refuses %j", async (options, name) => {
  const { client } = await pair();
  const error = thrown(() => client.messages(options as object));
  expect(error).toBeInstanceOf(InvalidOption);
  expect(String(error)).toContain(`${name}: `);
});
