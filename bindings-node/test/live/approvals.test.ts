/** Permissions that a handler decides on. */

import { type ApprovalHandler, allow, deny } from "@letta/app-client-native";
import { expect, it } from "vitest";
import { say } from "../helpers.js";
import { LiveServer, writing } from "./harness.js";

const live = LiveServer.forFile();

async function run(text: string, onApproval: ApprovalHandler) {
  const runtime = await live.newRuntime();
  const result = await live.client.runTurn({ runtime, payload: say(text) }, { onApproval });
  expect(result).toMatchObject({ status: "completed", stopReason: "end_turn", text: "tok0 tok1 " });
  return { runtime, calls: result.toolCalls };
}

it("allows", async () => {
  const asked: unknown[] = [];
  const { runtime, calls } = await run(`${writing("allowed")} N=2`, (request) => {
    asked.push(request);
    return allow();
  });
  expect(asked).toMatchObject([{ toolName: "Bash", toolCallId: calls[0]?.id, runtime }]);
  expect(calls).toMatchObject([{ status: "success", output: expect.stringContaining("allowed") }]);
});

it("denies with a reason", async () => {
  const { calls } = await run(`${writing("denied")} N=2`, async () => deny("not on my disk"));
  expect(calls).toMatchObject([
    { status: "error", output: expect.stringContaining("not on my disk") },
  ]);
});

it("allows with other arguments", async () => {
  const { calls } = await run(`${writing("original")} N=2`, ({ input }) => {
    const command = String(input.command).replace("original", "replaced");
    return allow({ updatedInput: { ...input, command } });
  });
  expect(calls[0]?.output).toContain("replaced");
  expect(calls[0]?.output).not.toContain("original");
});

it("is asked about parallel calls one after the other", async () => {
  let [atWork, most] = [0, 0];
  const asked: string[] = [];
  const { calls } = await run(`${writing("one")} ${writing("two")} PAR N=2`, async (request) => {
    atWork += 1;
    most = Math.max(most, atWork);
    asked.push(request.toolCallId);
    await live.client.info();
    atWork -= 1;
    return asked.length === 1 ? allow() : deny("one is enough");
  });
  expect(most).toBe(1);
  expect(asked).toEqual(calls.map(({ id }) => id));
  expect(calls).toMatchObject([
    { status: "success", output: expect.stringContaining("one") },
    { status: "error", output: expect.stringContaining("one is enough") },
  ]);
});

it("goes to a handler of the client", async () => {
  const runtime = await live.newRuntime();
  const off = live.client.onApprovalRequest(() => allow(), { runtime });
  const payload = say(`${writing("registered")} N=2`);
  const result = await live.client.runTurn({ runtime, payload });
  off();
  expect(result.toolCalls).toMatchObject([{ name: "Bash", status: "success" }]);
});
