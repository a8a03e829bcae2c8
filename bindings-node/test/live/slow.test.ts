/** Turns that take long, all at once. */

import { describe, expect } from "vitest";
import { collected, say } from "../helpers.js";
import { LiveServer } from "./harness.js";

const live = LiveServer.forFile();

describe.concurrent("a turn", (it) => {
  it("whose model fails twice and recovers", async () => {
    const runtime = await live.newRuntime();
    const turn = live.client.sendTurn({ runtime, payload: say("recovers ERR=500x2 N=2") });
    const events = await collected(turn);
    expect(await turn).toMatchObject({ status: "completed", text: "tok0 tok1 ", error: null });
    expect(events.filter(({ type }) => type === "retry").length).toBeGreaterThanOrEqual(2);
  });

  it("whose model keeps failing", async () => {
    const runtime = await live.newRuntime();
    const result = await live.client.runTurn({ runtime, payload: say("keeps failing ERR=500") });
    expect(result).toMatchObject({ status: "failed", error: expect.any(String), text: "" });
    // The server has tried for half a minute.
    expect(result.durationMs).toBeGreaterThan(30_000);
  });

  it("that takes 45 s, with default options", async () => {
    const runtime = await live.newRuntime();
    const result = await live.client.runTurn({ runtime, payload: say("N=45 SLEEP=1000") });
    expect(result).toMatchObject({ status: "completed", stopReason: "end_turn" });
    expect(result.text.trim().split(" ")).toHaveLength(45);
    expect(result.durationMs).toBeGreaterThan(44_000);
  });
});
