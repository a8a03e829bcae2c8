import {
  type ControlRequestMessage,
  Disconnected,
  TurnAborted,
  TurnError,
  TurnIdleTimeout,
  TurnInterrupted,
  TurnTimeout,
} from "@letta/app-client-native";
import type { MockServer } from "@letta/app-client-native/testing";
import { describe, expect, it } from "vitest";
import { firstText, prepared, rejection, say } from "./helpers.js";

it("follows a turn to its end", async () => {
  const call = { name: "Read", input: { path: "a.py" }, result: "text" };
  const { mock, client, runtime } = await prepared([
    { text: ["4", "2"], reasoning: "hm", toolCalls: [call], usage: [10, 3] },
  ]);
  const result = await client.runTurn(
    { runtime, payload: say("?") },
    { allowLoopStatusFallback: true },
  );
  expect(result).toMatchObject({
    runtime,
    status: "completed",
    stopReason: "end_turn",
    text: "42",
    error: null,
    completedBy: "turn_finished",
    disposition: "started",
    mergedWith: [],
    retries: 0,
    detached: false,
    terminalMessage: { type: "turn_finished", stop_reason: "end_turn" },
  });
  expect(result.toolCalls).toMatchObject([
    { name: "Read", arguments: '{"path":"a.py"}', output: "text" },
  ]);
  const [runId] = result.runIds.slice(-1);
  expect(result.messages).toMatchObject([
    { type: "tool_call", call: { name: "Read" } },
    { type: "reasoning", text: "hm", runId },
    { type: "assistant", text: "42", runId, messageId: expect.any(String) },
  ]);
  const [called] = result.messages;
  expect(called?.type === "tool_call" && called.call).toBe(result.toolCalls[0]);
  expect(result.usage).toMatchObject({ promptTokens: 20, completionTokens: 6, totalTokens: 26 });
  expect(result.runIds).toHaveLength(2);
  expect(result.turnId).toEqual(expect.any(String));
  expect(result.durationMs).toBeGreaterThanOrEqual(0);
  const [input] = mock.receivedOf("input") as {
    payload: { messages: { client_message_id: string }[] };
  }[];
  expect(result.clientMessageIds).toEqual(input?.payload.messages.map((m) => m.client_message_id));
});

it("keeps the ids of the caller", async () => {
  const { mock, client, runtime } = await prepared([]);
  const messages = [{ role: "user" as const, content: "x", client_message_id: "own" }];
  const payload = { kind: "create_message" as const, messages };
  const result = await client.runTurn({ request_id: "r-9", runtime, payload });
  expect(result.clientMessageIds).toEqual(["own"]);
  expect(mock.receivedOf("input")[0]).toMatchObject({ request_id: "r-9" });
});

it("works on a server that tells the end by stop reason", async () => {
  const { client, runtime } = await prepared({
    generation: "split",
    turnEvents: false,
    correlation: false,
    turns: [{ text: ["a", "b"] }],
  });
  const result = await client.runTurn({ runtime, payload: say("?") });
  expect(result).toMatchObject({ text: "ab", status: "completed", completedBy: "stop_reason" });
});

it("resolves with a failed turn", async () => {
  const { client, runtime } = await prepared([{ text: "so", error: "no credits" }]);
  const result = await client.runTurn({ runtime, payload: say("?") });
  expect(result).toMatchObject({ status: "failed", stopReason: "error", error: "no credits" });
});

describe("approvals", () => {
  const turns = [{ text: "done", toolCalls: [{ name: "Bash", needsApproval: true }] }];

  it("pauses at the question", async () => {
    const { client, runtime } = await prepared(turns);
    const result = await client.runTurn({ runtime, payload: say("?") });
    expect(result).toMatchObject({
      status: "requires_approval",
      stopReason: "requires_approval",
      completedBy: "loop_status_waiting_on_approval",
      terminalMessage: { type: "control_request" },
    });
  });

  it("waits while a handler answers", async () => {
    const { client, runtime } = await prepared(turns);
    client.onMessage((message) => {
      if (message.type !== "control_request") return;
      const { request_id } = message as ControlRequestMessage;
      const decision = { behavior: "allow" as const };
      client.input({ runtime, payload: { kind: "approval_response", request_id, decision } });
    });
    const result = await client.runTurn({ runtime, payload: say("?") }, { approvals: "wait" });
    expect(result).toMatchObject({ status: "completed", text: "done" });
    expect(result.toolCalls).toMatchObject([{ name: "Bash", status: "success" }]);
  });
});

describe("stopping", () => {
  const hanging = [{ text: "begun", hang: true }];
  const stopped = (mock: MockServer) => mock.waitReceived("abort_message");

  it("by the signal, on the server too", async () => {
    const { mock, client, runtime } = await prepared(hanging);
    const abort = new AbortController();
    const begun = firstText(client);
    const turn = rejection(
      client.runTurn({ runtime, payload: say("?") }, { signal: abort.signal }),
    );
    await begun;
    const reason = new Error("enough");
    abort.abort(reason);
    expect(await turn).toMatchObject({ name: "AbortError", code: "ABORT_ERR", cause: reason });
    expect(await stopped(mock)).toBe(true);
  });

  it("by the total limit", async () => {
    const { mock, client, runtime } = await prepared(hanging);
    const error = await rejection(
      client.runTurn({ runtime, payload: say("?") }, { timeoutMs: 50 }),
    );
    expect(error).toBeInstanceOf(TurnTimeout);
    expect(error).toBeInstanceOf(TurnError);
    expect(await stopped(mock)).toBe(true);
    expect((error as TurnTimeout).result).toMatchObject({ text: "begun", status: "aborted" });
  });

  it("by the idle limit", async () => {
    const { mock, client, runtime } = await prepared(hanging);
    const limits = { idleTimeoutMs: 50, abortGraceMs: 1000 };
    const error = await rejection(client.runTurn({ runtime, payload: say("?") }, limits));
    expect(error).toBeInstanceOf(TurnIdleTimeout);
    expect(await stopped(mock)).toBe(true);
  });

  it("by somebody else resolves", async () => {
    const { client, runtime } = await prepared(hanging);
    const begun = firstText(client);
    const turn = client.runTurn({ runtime, payload: say("?") });
    await begun;
    expect(await client.abort({ runtime })).toMatchObject({ aborted: true });
    expect(await turn).toMatchObject({ status: "aborted", stopReason: "cancelled" });
  });

  it("of an input that waits in the queue", async () => {
    const { mock, client, runtime } = await prepared(hanging);
    const begun = firstText(client);
    const first = client.runTurn({ runtime, payload: say("first") });
    await begun;
    const queued = new Promise<string>((resolve) => {
      client.onMessage((message) => {
        const [item] = message.type === "update_queue" ? message.queue : [];
        if (item) resolve(item.id);
      });
    });
    const second = rejection(client.runTurn({ runtime, payload: say("second") }));
    const item_id = await queued;
    await client.request("remove_queue_item", { runtime, item_id });
    const error = await second;
    expect(error).toBeInstanceOf(TurnAborted);
    expect((error as TurnAborted).result?.completedBy).toBe("removed_from_queue");
    await client.abort({ runtime });
    expect((await first).status).toBe("aborted");
    mock.assertReceived("remove_queue_item", { times: 1 });
  });

  it("by a lost connection", async () => {
    const script = [{ text: ["a", "b", "c"], disconnectAfter: 2 }];
    const { client, runtime } = await prepared(script, { reconnect: false });
    const error = await rejection(client.runTurn({ runtime, payload: say("?") }));
    expect(error).toBeInstanceOf(TurnInterrupted);
    expect(error).toMatchObject({ retryable: false, closeCode: 1006, result: { text: "ab" } });
    expect(await rejection(client.runTurn({ runtime, payload: say("?") }))).toBeInstanceOf(
      Disconnected,
    );
  });
});
