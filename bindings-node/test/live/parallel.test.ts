/** Several turns at once, each with its own outcome. */

import { expect, it } from "vitest";
import { say } from "../helpers.js";
import { LiveServer } from "./harness.js";

const live = LiveServer.forFile();
const tokens = (count: number) => Array.from({ length: count }, (_, at) => `tok${at} `).join("");

it("two on one conversation", async () => {
  const runtime = await live.newRuntime();
  const run = (text: string) => live.client.runTurn({ runtime, payload: say(text) });
  const [first, second] = await Promise.all([run("N=4 SLEEP=50"), run("N=6")]);
  const own = { status: "completed", mergedWith: [], detached: false };
  expect(first).toMatchObject({ ...own, text: tokens(4), disposition: "started" });
  expect(second).toMatchObject({ ...own, text: tokens(6), disposition: "queued" });
  expect(second.runIds.some((id) => first.runIds.includes(id))).toBe(false);
});

it("ten conversations of one agent", async () => {
  const { agent_id } = await live.newRuntime();
  const run = async (_: unknown, at: number) => {
    const { runtime, error } = await live.client.runtimeStart({
      ...{ agent_id, create_conversation: { body: {} }, cwd: live.info.cwd, mode: "standard" },
    });
    if (!runtime) throw new Error(error ?? "no runtime");
    const payload = say(`N=${at + 1} SLEEP=20`);
    const result = await live.client.runTurn({ runtime, payload });
    expect(result).toMatchObject({ runtime, status: "completed", text: tokens(at + 1) });
    return runtime.conversation_id;
  };
  const conversations = await Promise.all(Array.from({ length: 10 }, run));
  expect(new Set(conversations).size).toBe(10);
});
