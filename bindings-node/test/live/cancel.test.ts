/** However a turn is cancelled, the server has ended it soon: an observer sees that. */

import { expect, it } from "vitest";
import { rejection, say } from "../helpers.js";
import { LiveServer, within } from "./harness.js";

const STOPS_WITHIN_MS = 3_000;

const live = LiveServer.forFile();

/** A turn that has begun to answer, with an observer. */
async function running(options: object = {}) {
  const runtime = await live.newRuntime();
  const { stopReason } = await live.observe(runtime);
  const turn = live.client.sendTurn({ runtime, payload: say("N=400 SLEEP=50") }, options);
  const events = turn[Symbol.asyncIterator]();
  for (let next = await events.next(); next.value?.type !== "assistant_delta"; ) {
    if (next.done) throw new Error("the turn has ended");
    next = await events.next();
  }
  return { turn, stopped: () => within(STOPS_WITHIN_MS, stopReason) };
}

it("by its signal", async () => {
  const abort = new AbortController();
  const { turn, stopped } = await running({ signal: abort.signal });
  const ended = rejection(turn);
  abort.abort("enough");
  expect(await stopped()).toBe("cancelled");
  expect(await ended).toMatchObject({ name: "AbortError", cause: "enough" });
});

it("by the signal of a call without a handle", async () => {
  const runtime = await live.newRuntime();
  const { stopReason } = await live.observe(runtime);
  const abort = new AbortController();
  const off = live.client.onMessage((message) => {
    if (message.type === "stream_delta" && message.delta.message_type === "assistant_message") {
      abort.abort("enough");
    }
  });
  const call = live.client.runTurn(
    { runtime, payload: say("N=400 SLEEP=50") },
    { signal: abort.signal },
  );
  expect(await rejection(call)).toMatchObject({ name: "AbortError", cause: "enough" });
  expect(await within(STOPS_WITHIN_MS, stopReason)).toBe("cancelled");
  off();
});

it("by abort", async () => {
  const { turn, stopped } = await running();
  const result = await turn.abort();
  expect(result).toMatchObject({ status: "aborted", stopReason: "cancelled" });
  expect(result.text).toMatch(/^tok0 /);
  expect(await stopped()).toBe("cancelled");
});

it("by leaving the loop over its events", async () => {
  const { turn, stopped } = await running();
  for await (const event of turn) {
    if (event.type === "assistant_delta") break;
  }
  expect(await stopped()).toBe("cancelled");
  expect(await turn).toMatchObject({ status: "aborted", stopReason: "cancelled" });
});
