/** Turns as web streams, read with the AI SDK's own reader. */

import {
  type RunTurnOptions,
  TurnInterrupted,
  type UIMessageChunk,
} from "@letta/app-client-native";
import type { ScriptedTurn } from "@letta/app-client-native/testing";
import { type UIMessageChunk as AiChunk, readUIMessageStream, uiMessageChunkSchema } from "ai";
import { describe, expect, expectTypeOf, it } from "vitest";
import type { TurnEvent } from "../ts/events.js";
import { Chunks } from "../ts/uimessages.js";
import {
  collected,
  connected,
  firstText,
  GENERATIONS,
  prepared,
  rejection,
  say,
} from "./helpers.js";

const call = { name: "Read", input: { path: "a.py" }, result: "text" };
const rich: ScriptedTurn = { text: ["4", "2"], reasoning: ["h", "m"], toolCalls: [call] };
const hanging: ScriptedTurn[] = [{ text: "half", hang: true }, { text: "42" }];

async function sent(
  turn: ScriptedTurn | ScriptedTurn[],
  options: RunTurnOptions = {},
  script = {},
) {
  const context = await prepared({ ...script, turns: [turn].flat() });
  const { client, runtime } = context;
  const begun = firstText(client);
  return { ...context, begun, turn: client.sendTurn({ runtime, payload: say("?") }, options) };
}

const streamOf = (chunks: UIMessageChunk[]) =>
  new ReadableStream<AiChunk>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });

/** What the AI SDK makes of chunks, each of which it must know. */
async function read(stream: AsyncIterable<UIMessageChunk>) {
  const chunks = await collected(stream);
  const schema = uiMessageChunkSchema();
  for (const chunk of chunks) {
    expect(await schema.validate?.(chunk)).toMatchObject({ success: true });
  }
  const errors: unknown[] = [];
  const messages = readUIMessageStream({
    stream: streamOf(chunks),
    onError: (error) => errors.push((error as Error).message),
  });
  const parts = (await collected(messages)).at(-1)?.parts ?? [];
  return { chunks, types: chunks.map(({ type }) => type), parts, errors };
}

/** Chunks of events that the scripted server does not send. */
async function* given(...events: object[]): AsyncGenerator<TurnEvent, undefined> {
  yield* events as TurnEvent[];
  return undefined;
}

async function* chunksOf(...events: object[]): AsyncGenerator<UIMessageChunk> {
  const chunks = new Chunks();
  const source = given(...events);
  for (let next = await chunks.next(source); next; next = await chunks.next(source)) yield* next;
}

it("has chunks of the AI SDK's type", () => {
  expectTypeOf<UIMessageChunk>().toExtend<AiChunk>();
});

describe.each(GENERATIONS)("on a %s server", (_, script) => {
  it("gives text, reasoning and tool calls as parts of a message", async () => {
    const { turn } = await sent(rich, {}, script);
    const { chunks, types, parts, errors } = await read(turn.toUIMessageStream());
    expect(types).toEqual([
      "start",
      ...["start-step", "tool-input-start", "tool-input-delta", "tool-input-available"],
      ...["tool-output-available", "finish-step", "start-step"],
      ...["reasoning-start", "reasoning-delta", "reasoning-delta", "reasoning-end"],
      ...["text-start", "text-delta", "text-delta", "text-end", "finish-step", "finish"],
    ]);
    const toolCallId = (await turn).toolCalls[0]?.id;
    expect(chunks).toContainEqual({
      ...{ type: "tool-input-available", toolCallId, toolName: "Read", input: call.input },
      ...{ dynamic: true, providerExecuted: true },
    });
    expect(parts).toMatchObject([
      { type: "step-start" },
      {
        ...{ type: "dynamic-tool", toolName: "Read", toolCallId, state: "output-available" },
        ...{ input: call.input, output: "text", providerExecuted: true },
      },
      { type: "step-start" },
      { type: "reasoning", text: "hm", state: "done" },
      { type: "text", text: "42", state: "done" },
    ]);
    expect(errors).toEqual([]);
  });

  it("stops the turn when the stream of chunks is cancelled", async () => {
    const { mock, turn, client, runtime } = await sent(hanging, {}, script);
    const reader = turn.toUIMessageStream().getReader();
    for (let type = ""; type !== "text-delta"; ) type = (await reader.read()).value?.type ?? type;
    const waiting = reader.read();
    await reader.cancel();
    expect(await waiting).toEqual({ done: true, value: undefined });
    mock.assertReceived("abort_message", { times: 1 });
    expect(await turn).toMatchObject({ status: "aborted", text: "half" });
    expect(await client.runTurn({ runtime, payload: say("?") })).toMatchObject({ text: "42" });
  });
});

it("gives a denied tool call an error", async () => {
  const toolCalls = [{ name: "Write", input: {}, needsApproval: true }];
  const { turn } = await sent({ text: "sorry", toolCalls }, { approvals: "deny" });
  const { parts } = await read(turn.toUIMessageStream());
  const errorText = (await turn).toolCalls[0]?.output;
  expect(parts[1]).toMatchObject({ type: "dynamic-tool", state: "output-error", errorText });
});

it("ends a failed turn with its error", async () => {
  const failing: ScriptedTurn = { text: "half", error: "no credits" };
  for (const check of [false, true]) {
    const { turn } = await sent(failing, { check });
    const { types, parts, errors } = await read(turn.toUIMessageStream());
    expect(types.slice(-3)).toEqual(["text-end", "finish-step", "error"]);
    expect(parts[1]).toMatchObject({ type: "text", text: "half", state: "done" });
    expect(errors).toEqual([expect.stringContaining("no credits")]);
    turn.catch(() => {});
  }
});

it("ends an interrupted turn with the error's message", async () => {
  const { turn } = await sent({ text: ["a", "b"], disconnectAfter: 2 });
  const { errors } = await read(turn.toUIMessageStream());
  const error = await rejection(turn);
  expect(error).toBeInstanceOf(TurnInterrupted);
  expect(errors).toEqual([(error as Error).message]);
});

it.each(["abort", "signal", "check"])("ends a stopped turn with an abort: %s", async (how) => {
  const stop = new AbortController();
  const options = { check: how === "check", ...(how === "signal" && { signal: stop.signal }) };
  const { turn, begun } = await sent(hanging, options);
  const reading = read(turn.toUIMessageStream());
  await begun;
  if (how === "signal") stop.abort();
  else await turn.abort().catch(() => {});
  const { types, errors } = await reading;
  expect(types.at(-1)).toBe("abort");
  expect(types).not.toContain("finish");
  expect(errors).toEqual([]);
});

it("ends with the watching when the turn is detached", async () => {
  const { turn, begun } = await sent(hanging);
  const reading = read(turn.toUIMessageStream());
  await begun;
  turn.detach();
  expect((await reading).types.at(-1)).toBe("finish");
});

it("streams the events, and leaves those that nobody asked for", async () => {
  const { client, runtime } = await prepared([rich]);
  const whole = client.sendTurn({ runtime, payload: say("?") });
  const events = await collected(whole.toReadableStream());
  expect(events.at(-1)).toEqual({ type: "finished", result: await whole });
  const turn = client.sendTurn({ runtime, payload: say("?") });
  await turn;
  const reader = turn.toReadableStream().getReader();
  const { value: first } = await reader.read();
  reader.releaseLock();
  const rest = await collected(turn);
  expect([first, ...rest].map((event) => event?.type)).toEqual(events.map(({ type }) => type));
});

it("stops the turn when the stream of events is cancelled", async () => {
  const { mock, turn } = await sent(hanging);
  for await (const event of turn.toReadableStream()) {
    if (event.type === "assistant_delta") break;
  }
  mock.assertReceived("abort_message", { times: 1 });
  expect(await turn).toMatchObject({ status: "aborted" });
});

it("fails the stream of events as the loop fails", async () => {
  const { turn } = await sent({ text: ["a", "b"], disconnectAfter: 2 });
  const error = await rejection(collected(turn.toReadableStream()));
  expect(error).toBeInstanceOf(TurnInterrupted);
  expect(await rejection(turn)).toBe(error);
});

it("makes streams of what a session gives", async () => {
  const { mock } = await prepared([rich]);
  const session = await (await connected(mock)).session({ agentId: "a" });
  const { parts } = await read(session.stream("?").toUIMessageStream());
  expect(parts.at(-1)).toMatchObject({ type: "text", text: "42" });
  const events = await collected(session.stream("?").toReadableStream());
  expect(events.at(-1)).toMatchObject({ type: "finished", result: { text: "42" } });
});

const start = { type: "tool_call_start", name: "Bash", callId: "c", runId: "r1" };
const pieces = ['{"a"', ":1}"].map((text) => ({
  ...{ type: "tool_call_arguments", arguments: text, callId: "c" },
}));

it("shows what a tool has printed so far", async () => {
  const output = { type: "tool_output", output: "so far", callId: "c" };
  const events = [start, ...pieces, output, { ...output, callId: "unknown" }];
  const { parts } = await read(chunksOf(...events));
  expect(parts[1]).toMatchObject({ input: { a: 1 }, output: "so far", preliminary: true });
});

it("ends the calls of a run that is tried again", async () => {
  const withdrawn = { type: "run_withdrawn", runId: "r1" };
  const late = { type: "tool_call_end", output: "x", status: "success", callId: "c" };
  const began = { type: "run_started", runId: "r2" };
  const said = { type: "assistant_delta", text: "4", runId: "r2", messageId: "m" };
  const events = [start, ...pieces.slice(0, 1), withdrawn, late, began, said];
  const { parts, types } = await read(chunksOf(...events));
  expect(types).not.toContain("tool-input-available");
  expect(parts).toMatchObject([
    { type: "step-start" },
    { state: "output-error", errorText: "the run failed and was tried again" },
    { type: "step-start" },
    { type: "text", text: "4" },
  ]);
});

it("gives arguments that are no JSON as they are, and none as an empty object", async () => {
  const end = { type: "tool_call_end", output: "x", status: "success", callId: "c" };
  const input = async (...events: object[]) =>
    (await collected(chunksOf(...events))).find(({ type }) => type === "tool-input-available");
  expect(await input(start, end)).toMatchObject({ input: {} });
  expect(await input(start, ...pieces.slice(1), end)).toMatchObject({ input: ":1}" });
});
