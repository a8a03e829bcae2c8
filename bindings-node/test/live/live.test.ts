import type { ControlRequestMessage, RuntimeScope } from "@letta/app-client-native";
import { expect, it } from "vitest";
import { say } from "../helpers.js";
import { LiveServer, writing } from "./harness.js";

const TURNS = 20;

const live = LiveServer.forFile();

/** Allows every tool call of a runtime; gives the unsubscriber and the questions. */
function allowAll(runtime: RuntimeScope) {
  const asked: string[] = [];
  const off = live.client.onMessage((message) => {
    if (message.type !== "control_request") return;
    const { request_id, request, conversation_id } = message as ControlRequestMessage;
    if (conversation_id !== undefined && conversation_id !== runtime.conversation_id) return;
    asked.push(request.tool_name);
    const decision = { behavior: "allow" as const };
    live.client.input({ runtime, payload: { kind: "approval_response", request_id, decision } });
  });
  return { asked, off };
}

it("describes itself", async () => {
  const info = await live.client.info();
  expect(info.letta_code_version).toBe(live.info.version);
  expect(live.client.serverInfo).toMatchObject({ letta_code_version: live.info.version });
});

it("runs a turn", async () => {
  const runtime = await live.newRuntime();
  const result = await live.client.runTurn({ runtime, payload: say("N=4 REASON=1") });
  expect(result).toMatchObject({
    status: "completed",
    stopReason: "end_turn",
    text: "tok0 tok1 tok2 tok3 ",
    usage: { promptTokens: 10, completionTokens: 5 },
    completedBy: "turn_finished",
    error: null,
  });
});

it(`runs ${TURNS} turns back to back, every second one with an approval`, async () => {
  const runtime = await live.newRuntime();
  const { asked, off } = allowAll(runtime);
  for (let index = 0; index < TURNS; index += 1) {
    const asks = index % 2 === 1;
    const text = asks ? `${writing(`turn ${index}`)} N=3` : "N=3";
    const result = await live.client.runTurn(
      { runtime, payload: say(text) },
      { approvals: "wait", idleTimeoutMs: 20_000 },
    );
    expect(result, `turn ${index}`).toMatchObject({
      status: "completed",
      stopReason: "end_turn",
      text: "tok0 tok1 tok2 ",
      detached: false,
    });
    expect(result.toolCalls.map(({ name, status }) => [name, status])).toEqual(
      asks ? [["Bash", "success"]] : [],
    );
    if (asks) expect(result.toolCalls[0]?.output).toContain(`turn ${index}`);
  }
  off();
  expect(asked).toEqual(Array.from({ length: TURNS / 2 }, () => "Bash"));
});
