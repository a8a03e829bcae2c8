import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  InvalidCommand,
  InvalidOption,
  type MessageMap,
  type TurnEvent,
  TurnInterrupted,
} from "@letta/app-client-native";
import { describe, expect, it, vi } from "vitest";
import { Connection } from "../dist/cjs/native.cjs";
import type { LongText, TakenEvents } from "../ts/native.cjs";
import { Turn as TurnClass, type TurnEngine } from "../ts/turn.js";
import {
  collected,
  firstText,
  GENERATIONS,
  prepared,
  rejection,
  say,
  startRuntime,
  thrown,
} from "./helpers.js";

const call = { name: "Read", input: { path: "a.py" }, result: "text" };
const rich = { text: ["4", "2"], reasoning: "hm", toolCalls: [call], usage: [10, 3] as const };
const turns = [{ ...rich, usage: [10, 3] as [number, number] }];

const types = (events: TurnEvent[]) => new Set(events.map(({ type }) => type));
const textOf = (events: TurnEvent[]) =>
  events.map((event) => (event.type === "assistant_delta" ? event.text : "")).join("");

describe.each(GENERATIONS)("on a %s server", (_, script) => {
  it("is followed, and awaited afterwards, as often as one likes", async () => {
    const { client, runtime } = await prepared({ ...script, turns });
    const turn = client.sendTurn({ runtime, payload: say("?") });
    const events = await collected(turn);
    const result = await turn;
    expect(await turn).toBe(result);
    expect(result).toMatchObject({ status: "completed", text: "42" });
    expect(events.at(-1)).toEqual({ type: "finished", result });
    expect(textOf(events)).toBe("42");
    const told = (type: string) => events.filter((event) => event.type === type);
    expect(told("run_started")).toEqual(
      result.runIds.map((runId) => ({ type: "run_started", runId })),
    );
    const [callId, runId] = [result.toolCalls[0]?.id, result.runIds[0]];
    expect(told("tool_call_start")).toEqual([
      { type: "tool_call_start", name: "Read", callId, runId },
    ]);
    expect(told("tool_call_end")).toEqual([
      { type: "tool_call_end", callId, status: expect.any(String), output: "text" },
    ]);
    expect(told("reasoning_delta")).toEqual([
      {
        type: "reasoning_delta",
        text: "hm",
        runId: result.runIds[1],
        messageId: expect.any(String),
      },
    ]);
    expect(told("usage")).toMatchObject([
      { usage: { promptTokens: 10, completionTokens: 3 }, runId },
      { usage: { totalTokens: 13 } },
    ]);
    expect(told("status").length).toBeGreaterThan(0);
    expect(told("unknown")).toEqual([]);
  });

  it("is awaited, and followed afterwards", async () => {
    const { client, runtime } = await prepared({ ...script, turns });
    const turn = client.sendTurn({ runtime, payload: say("?") });
    const result = await turn;
    const events = await collected(turn);
    expect(textOf(events)).toBe("42");
    expect(types(events)).toContain("tool_call_arguments");
    // Each event is given once, but every loop gets the last.
    expect(await collected(turn)).toEqual([{ type: "finished", result }]);
  });

  it("tells a queued turn's place", async () => {
    const { client, runtime } = await prepared({ ...script, turns: [{ text: "a", hang: true }] });
    const first = client.sendTurn({ runtime, payload: say("first") });
    const second = client.sendTurn({ runtime, payload: say("second") });
    for await (const event of second) {
      expect(event).toEqual({ type: "queued", position: 1 });
      break;
    }
    expect(await second).toMatchObject({ status: "aborted" });
    expect(await first.abort()).toMatchObject({ status: "aborted", text: "a" });
  });
});

it("is followed and awaited at the same time, by several", async () => {
  const { client, runtime } = await prepared(turns);
  const turn = client.sendTurn({ runtime, payload: say("?") });
  const [events, first, second, chained] = await Promise.all([
    collected(turn),
    turn,
    turn,
    turn.then(({ text }) => text).finally(() => {}),
  ]);
  expect(first).toBe(second);
  expect(chained).toBe("42");
  expect(events.at(-1)).toEqual({ type: "finished", result: first });
});

it("streams the text alone", async () => {
  const { client, runtime } = await prepared(turns);
  const turn = client.sendTurn({ runtime, payload: say("?") });
  expect(await collected(turn.textStream())).toEqual(["4", "2"]);
  expect((await turn).text).toBe("42");
});

it("shares its events between readers that ask before there are any", async () => {
  const { client, runtime } = await prepared([{ text: ["a", "b", "c"] }]);
  const stream = client.sendTurn({ runtime, payload: say("?") }).textStream();
  const asked = await Promise.all([stream.next(), stream.next(), stream.next(), stream.next()]);
  expect(asked.map(({ value }) => value)).toEqual(["a", "b", "c", undefined]);
});

it("is read by one at a time, and by the next one afterwards", async () => {
  const { client, runtime } = await prepared([{ text: ["a", "b", "c"] }]);
  const turn = client.sendTurn({ runtime, payload: say("?") });
  const readers = [turn, turn.toReadableStream(), turn.textStream()].map((reader) =>
    collected<unknown>(reader as AsyncIterable<unknown>),
  );
  const [first, ...others] = await Promise.allSettled(readers);
  const texts = (first as PromiseFulfilledResult<TurnEvent[]>).value;
  expect(textOf(texts)).toBe("abc");
  for (const other of others) {
    expect(other).toMatchObject({
      reason: expect.any(TypeError),
      status: "rejected",
    });
    const { message } = (other as PromiseRejectedResult).reason;
    expect(message).toContain("another loop or stream is already reading the events of this turn");
  }
  // The loop that was refused has not stopped the turn, and whoever comes later is told of its end.
  const result = await turn;
  expect(result.status).toBe("completed");
  expect(await collected(turn)).toEqual([{ type: "finished", result }]);
});

it("is read on by another one where a reader has stopped, and not by both in turn", async () => {
  const { client, runtime } = await prepared([{ text: ["a", "b", "c"], hang: true }]);
  const turn = client.sendTurn({ runtime, payload: say("?") });
  const [first, second] = [turn.textStream(), turn.textStream()];
  expect(await first.next()).toEqual({ done: false, value: "a" });
  expect(await second.next()).toEqual({ done: false, value: "b" });
  expect(await rejection(first.next())).toBeInstanceOf(TypeError);
  expect(await second.next()).toEqual({ done: false, value: "c" });
  const waiting = second.next();
  expect(await rejection(turn[Symbol.asyncIterator]().next())).toBeInstanceOf(TypeError);
  await second.return?.();
  expect((await waiting).done).toBe(true);
  expect((await collected(turn)).at(-1)).toMatchObject({ type: "finished" });
});

it("is not shared by two loops when it has ended", async () => {
  const { client, runtime } = await prepared([{ text: ["a", "b", "c"] }]);
  const turn = client.sendTurn({ runtime, payload: say("?") });
  await turn;
  const loops = await Promise.allSettled([collected(turn), collected(turn)]);
  expect(loops.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
});

it("has the outputs of tools whole, short or long, in its events and its results", async () => {
  const outputs = ["short", 'a "line"\n'.repeat(1000), "", "\u{1f600}\t".repeat(2000)];
  const toolCalls = outputs.map((result) => ({ name: "Bash", result }));
  const { client, runtime } = await prepared(Array(4).fill({ toolCalls }));
  const turn = client.sendTurn({ runtime, payload: say("?") });
  const ended = (await collected(turn)).filter((event) => event.type === "tool_call_end");
  expect(ended.map(({ output }) => output)).toEqual(outputs);
  // One whose outputs are taken when its result is there, and two at once, whose results may come together.
  const late = client.sendTurn({ runtime, payload: say("?") });
  expect((await late).toolCalls.map(({ output }) => output)).toEqual(outputs);
  expect(
    (await collected(late)).flatMap((it) => (it.type === "tool_call_end" ? [it.output] : [])),
  ).toEqual(outputs);
  const other = await startRuntime(client);
  const run = (at: typeof runtime) => client.runTurn({ runtime: at, payload: say("?") });
  for (const result of [await turn, ...(await Promise.all([run(runtime), run(other)]))]) {
    expect(result.toolCalls.map(({ output }) => output)).toEqual(outputs);
  }
});

/** A turn that has said "a" and "\u00fc", and what says more in its run. */
async function hanging() {
  const { mock, client, runtime } = await prepared([{ text: ["a", "\u00fc"], hang: true }]);
  const said = new Promise<MessageMap["stream_delta"]>((resolve) => {
    const isLast = (delta: object) => JSON.stringify(delta).includes("\u00fc");
    client.onMessage((frame) => isLast(frame.delta) && resolve(frame), { types: ["stream_delta"] });
  });
  const turn = client.sendTurn({ runtime, payload: say("?") });
  const frame = await said;
  const push = (delta: object) => mock.push({ ...frame, delta: { ...frame.delta, ...delta } });
  return { turn, push };
}

const RETURNED = {
  message_type: "tool_return_message",
  id: "r",
  tool_call_id: "c",
  status: "success",
};

it("has in its result what its events had, which does not cross again", async () => {
  const { turn, push } = await hanging();
  const outputs = ["first ".repeat(1000), "second ".repeat(1000), "third ".repeat(1000)];
  const [first, second, third] = outputs.map((output, place) => {
    return { ...RETURNED, id: `r-${place}`, tool_call_id: `c-${place}`, tool_return: output };
  });
  const crossed = vi.spyOn(Connection.prototype, "takeOutputs");
  const events = turn[Symbol.asyncIterator]();
  for (const returned of [first, second]) {
    push(returned ?? {});
    for (;;) {
      const { value } = await events.next();
      if (value?.type === "tool_call_end") break;
    }
  }
  // The third is there, and nobody has asked for it.
  push(third ?? {});
  const result = await turn.abort();
  expect(result.toolCalls.map(({ output }) => output)).toEqual(outputs);
  const [known] = crossed.mock.results;
  expect(known?.value.map(({ text }: LongText) => text)).toEqual([0, 1, outputs[2]]);
  crossed.mockRestore();
});

it("keeps pieces of text and long outputs in their order, wherever they stand", async () => {
  const { turn, push } = await hanging();
  const output = "long ".repeat(1000);
  push({ ...RETURNED, tool_return: output });
  push({ content: [{ type: "text", text: "b" }] });
  push({ content: [{ type: "text", text: "c" }] });
  // All that was said waits until the turn is over, and is then taken at once.
  await turn.abort();
  const told = (await collected(turn)).flatMap((event) => {
    if (event.type === "assistant_delta") return [event.text];
    return event.type === "tool_call_end" ? [event.output] : [];
  });
  expect(told).toEqual(["a", "\u00fc", output, "b", "c"]);
});

it("throws at once what is wrong with it, and rejects with what is not to be had just now", async () => {
  const { mock, client, runtime } = await prepared([], { reconnect: false });
  const send = (command: object, options = {}) =>
    thrown(() => client.sendTurn(command as never, options));
  const command = { runtime, payload: say("?") };
  expect(send({ runtime })).toBeInstanceOf(InvalidCommand);
  expect(send({ ...command, runtime: { agent_id: "a" } })).toBeInstanceOf(InvalidCommand);
  for (const [options, words] of [
    [
      { approvals: "ask" },
      /^approvals: expected "pause", "wait", "deny", "ask_or_deny" or "raise", got "ask"/,
    ],
    [{ approvals: "return" }, /^approvals: /],
    [{ approvals: () => {} }, /; `onApproval` takes functions$/],
    [{ onApproval: "yes" }, /^onApproval: expected a function, got "yes"/],
    [{ onApproval: () => {}, approvals: "deny" }, /^onApproval: cannot be used together/],
    [{ toolTimeoutMs: 0 }, /^toolTimeoutMs: /],
    [{ approvalTimeoutMs: "1" }, /^approvalTimeoutMs: expected a number/],
    [{ signal: {} }, /^signal: /],
  ] as const) {
    const error = send(command, options);
    expect(error).toBeInstanceOf(InvalidOption);
    expect((error as Error).message).toMatch(words);
  }
  const reason = new Error("no more");
  const rejects = async (words: object, options = {}) => {
    const turn = client.sendTurn(command, options);
    const error = await rejection(turn);
    expect(error).toMatchObject(words);
    expect(await rejection(collected(turn))).toBe(error);
    expect(await rejection(collected(turn.textStream()))).toBe(error);
  };
  await rejects({ name: "AbortError", cause: reason }, { signal: AbortSignal.abort(reason) });
  mock.assertReceived("input", { times: 0 });
  mock.cutConnections();
  await new Promise((resolve) => client.onDisconnect(resolve));
  await rejects({ code: "disconnected" });
  // Nobody has to wait for it.
  client.sendTurn(command);
  await client.close();
  await rejects({ code: "closed" });
});

it("tells awaiters and readers of a failure alike", async () => {
  const { client, runtime } = await prepared([{ text: ["a", "b"], disconnectAfter: 2 }]);
  const turn = client.sendTurn({ runtime, payload: say("?") });
  const seen: TurnEvent[] = [];
  const reading = async () => {
    for await (const event of turn) seen.push(event);
  };
  const error = await rejection(reading());
  expect(error).toBeInstanceOf(TurnInterrupted);
  expect(await rejection(turn)).toBe(error);
  expect(await rejection(collected(turn))).toBe(error);
  expect(await rejection(collected(turn.textStream()))).toBe(error);
  expect(await turn.catch((reason) => reason)).toBe(error);
  expect(await rejection(turn.abort())).toBe(error);
  expect(textOf(seen)).toBe("ab");
  expect(turn.status).toBe("disconnected");
  expect(turn.explain()).toMatch(/^disconnected: the connection ended during the turn/);
});

it("says how it stands", async () => {
  const { client, runtime } = await prepared([{ text: "begun", hang: true }, { error: "no luck" }]);
  const begun = firstText(client);
  const turn = client.sendTurn({ runtime, payload: say("first") });
  await begun;
  expect(turn.status).toBe("running");
  expect(turn.explain()).toMatch(/^running 0 s; last event 0 s ago: text; approval none; queue 0$/);
  const stopped = turn.abort();
  // The engine stops it before it answers the question.
  expect(["stopping", "running"]).toContain(turn.status);
  await stopped;
  expect(turn.status).toBe("aborted");
  expect(turn.explain()).toBe("aborted after 0 s; stop reason cancelled");
  const failed = client.sendTurn({ runtime, payload: say("second") });
  await failed;
  expect(failed.status).toBe("failed");
  expect(failed.explain()).toBe("failed after 0 s; stop reason error; no luck");
});

const typed = (type: string) => ({ type });

/** The engine of a turn that is made without a server. */
class FakeEngine implements TurnEngine {
  taken = 0;
  left: number[] = [];
  events = "[]";
  outputs: LongText[] = [];
  resultOutputs: LongText[] = [];
  waiting = () => {};

  takeTurn(): TakenEvents {
    this.taken += 1;
    return { events: this.events, outputs: this.outputs };
  }
  takeOutputs(): LongText[] {
    return this.resultOutputs;
  }
  leaveTurn(token: number): void {
    this.left.push(token);
    this.waiting();
  }
  leaving(token: number): () => void {
    return () => this.leaveTurn(token);
  }
  abortTurn(): void {}
  detachTurn(): void {}
  turnReport(): null {
    return null;
  }
  unended(): undefined {
    return undefined;
  }
}

const RESULT = JSON.stringify({
  ...{ runs: [], messages: [] },
  result: {
    runs: [],
    tool_calls: [],
    messages: [],
    usage: {},
    terminal_message: null,
    status: null,
  },
});

it("fetches events only when somebody wants them", async () => {
  const engine = new FakeEngine();
  let ready = () => {};
  let end = () => {};
  const turn = new TurnClass(engine, 1, (call) => {
    ready = () => call.ready();
    end = () => call.resolve(RESULT);
  });
  ready();
  engine.events = '[{"type":"lagged","dropped":2,"merged":3},{"type":"brand_new","x":1}]';
  expect(engine.taken).toBe(0);
  const events = turn[Symbol.asyncIterator]();
  expect((await events.next()).value).toEqual({
    type: "lagged",
    dropped: 2,
    merged: 3,
  });
  expect((await events.next()).value).toEqual({
    type: "unknown",
    raw: { type: "brand_new", x: 1 },
  });
  expect(engine.taken).toBe(1);
  // A part comes at once: whether there is more is asked when it was read.
  engine.events = "[]";
  const pending = events.next();
  expect(engine.taken).toBe(2);
  end();
  expect((await pending).value).toMatchObject({ type: "finished" });
  expect((await events.next()).done).toBe(true);
  expect(engine).toMatchObject({ taken: 3, left: [1] });
});

it("takes the outputs that its events had, and those that they had not", async () => {
  const engine = new FakeEngine();
  engine.events = JSON.stringify(["tool_output", "tool_call_end", "tool_call_end"].map(typed));
  engine.outputs = ["so far", "first", "second"].map((text, place) => ({ place, text }));
  engine.resultOutputs = [1, 0, "third"].map((text, place) => ({ place, text }));
  let ready = () => {};
  let end = () => {};
  const turn = new TurnClass(engine, 1, (call) => {
    const { result, ...rest } = JSON.parse(RESULT);
    const calls = [null, null, null, "short"].map((output) => ({ output }));
    ready = () => call.ready();
    end = () => call.resolve(JSON.stringify({ ...rest, result: { ...result, tool_calls: calls } }));
  });
  ready();
  const events = turn[Symbol.asyncIterator]();
  for (const output of ["so far", "first", "second"]) {
    expect((await events.next()).value).toMatchObject({ output });
  }
  end();
  const outputs = (await turn).toolCalls.map(({ output }) => output);
  expect(outputs).toEqual(["second", "first", "third", "short"]);
});

it("lets go of the events when nobody has it any more", async () => {
  const engine = new FakeEngine();
  const left = new Promise<void>((resolve) => {
    engine.waiting = resolve;
  });
  await (async () => {
    const turn = new TurnClass(engine, 7, (call) => call.resolve(RESULT));
    await turn;
  })();
  setFlagsFromString("--expose_gc");
  const collect = runInNewContext("gc") as () => void;
  // What was awaited may be held until the next turn of the event loop.
  await new Promise(setImmediate);
  collect();
  await left;
  expect(engine.left).toEqual([7]);
});
