import type { TurnEvent } from "@letta/app-client-native";
import { expect, it } from "vitest";
import { ApprovalRequest } from "../ts/approvals.js";
import { turnEvent } from "../ts/events.js";
import { follow, played, TRACES } from "./playback.js";

const frame = JSON.stringify({
  ...{ type: "control_request", request_id: "perm-1", agent_id: "a", conversation_id: "c" },
  request: { subtype: "can_use_tool", tool_name: "Bash", input: { command: "ls" } },
});
const usage = {
  ...{ prompt_tokens: 1, completion_tokens: 2, total_tokens: 3, cached_input_tokens: 4 },
  ...{ cache_write_tokens: 5, reasoning_tokens: 6, step_count: 7, context_tokens: null },
};

it.each<[native: Record<string, unknown> & { type: string }, event: object]>([
  [{ type: "queued", position: 2 }, { position: 2 }],
  [{ type: "run_started", run_id: "r" }, { runId: "r" }],
  [{ type: "run_withdrawn", run_id: "r" }, { runId: "r" }],
  [
    { type: "assistant_delta", run_id: "r", message_id: "m", text: "t" },
    { runId: "r", messageId: "m", text: "t" },
  ],
  [
    { type: "reasoning_delta", run_id: "r", message_id: "m", text: "t" },
    { runId: "r", messageId: "m", text: "t" },
  ],
  [
    { type: "tool_call_start", run_id: "r", call_id: "c", name: "Bash" },
    { runId: "r", callId: "c", name: "Bash" },
  ],
  [
    { type: "tool_call_arguments", call_id: "c", arguments: "{" },
    { callId: "c", arguments: "{" },
  ],
  [
    { type: "tool_output", call_id: "c", output: "o" },
    { callId: "c", output: "o" },
  ],
  [
    { type: "tool_call_end", call_id: "c", status: "success", output: "o" },
    { callId: "c", status: "success", output: "o" },
  ],
  [
    { type: "approval_decided", request_id: "p", decision: null },
    { requestId: "p", decision: null },
  ],
  [
    { type: "approval_refused", request_id: "p", reason: "late" },
    { requestId: "p", reason: "late" },
  ],
  [
    { type: "usage", run_id: "r", usage },
    {
      runId: "r",
      usage: {
        ...{ promptTokens: 1, completionTokens: 2, totalTokens: 3, cachedInputTokens: 4 },
        ...{ cacheWriteTokens: 5, reasoningTokens: 6, stepCount: 7, contextTokens: null },
      },
    },
  ],
  [
    { type: "retry", message: "m", attempt: 1, max_attempts: 3, delay_ms: null },
    { message: "m", attempt: 1, maxAttempts: 3, delayMs: null },
  ],
  [{ type: "status", status: "SENDING_API_REQUEST" }, { status: "SENDING_API_REQUEST" }],
  [
    { type: "lagged", dropped: 5, merged: 7 },
    { dropped: 5, merged: 7 },
  ],
  [{ type: "unknown", frame: '{"type":"stream_delta"}' }, { raw: { type: "stream_delta" } }],
])("spells %j as users see it", (native, event) => {
  expect(turnEvent({ ...native })).toEqual({ type: native.type, ...event });
});

it("makes a request of a question", () => {
  const event = turnEvent({ type: "approval_requested", request_id: "perm-1", frame });
  if (event.type !== "approval_requested") throw new Error(event.type);
  expect(event.request).toBeInstanceOf(ApprovalRequest);
  expect(event.request).toMatchObject({
    ...{ requestId: "perm-1", toolName: "Bash", input: { command: "ls" }, toolCallId: "" },
    ...{ suggestions: [], blockedPath: null, diffs: [], raw: JSON.parse(frame) },
    runtime: { agent_id: "a", conversation_id: "c" },
  });
});

it("passes on what a newer engine tells", () => {
  const native = { type: "brand_new", some_field: 1 };
  expect(turnEvent(native)).toEqual({ type: "unknown", raw: native });
});

/** The events of the only turn of a recording, and its text without what was withdrawn. */
async function followed(generation: "single" | "split", name: string) {
  const path = new URL(`${generation}/${name}.jsonl`, TRACES).pathname;
  const { turns } = await played(path, generation, follow);
  const events: TurnEvent[] = (await turns[0]) ?? [];
  const pieces: { runId: string; text: string }[] = [];
  for (const event of events) if (event.type === "assistant_delta") pieces.push(event);
  const withdrawn = (runId: string) =>
    events.some((event) => event.type === "run_withdrawn" && event.runId === runId);
  const text = pieces.map(({ runId, text }) => (withdrawn(runId) ? "" : text)).join("");
  return { types: new Set(events.map(({ type }) => type)), text, last: events.at(-1) };
}

it.each(["single", "split"] as const)(
  "tells what was recorded on a %s server",
  async (generation) => {
    const cut = await followed(generation, "llm_stream_cut");
    expect(cut.types).toContain("run_withdrawn");
    expect(cut).toMatchObject({
      text: "tok0 tok1 tok2 tok3 tok4 tok5 ",
      last: { type: "finished" },
    });
    expect(cut.last).toMatchObject({ result: { text: cut.text, retries: 1 } });
    const recovered = await followed(generation, "llm_error_recovers");
    expect(recovered.types).toContain("retry");
    const allowed = await followed(generation, "approval_allow");
    for (const type of ["approval_requested", "approval_decided", "tool_call_end"] as const) {
      expect(allowed.types).toContain(type);
    }
    const reasoned = await followed(generation, "reasoning_turn");
    expect(reasoned.types).toContain("reasoning_delta");
  },
);
