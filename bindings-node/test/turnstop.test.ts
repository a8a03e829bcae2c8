import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { AbortError, type TurnEvent, TurnInterrupted, tool } from "@letta/app-client-native";
import { describe, expect, it } from "vitest";
import {
  collected,
  connected,
  firstText,
  GENERATIONS,
  prepared,
  rejection,
  say,
  startMock,
} from "./helpers.js";

const hanging = [{ text: "begun", hang: true }];

/** A turn that has begun to answer and does not end by itself. */
async function running(script: object = {}, options: object = {}) {
  const { mock, client, runtime } = await prepared({ ...script, turns: hanging });
  const begun = firstText(client);
  const turn = client.sendTurn({ runtime, payload: say("?") }, options);
  await begun;
  return { mock, client, runtime, turn };
}

describe.each(GENERATIONS)("a turn on a %s server", (_, script) => {
  it("is aborted", async () => {
    const { mock, turn } = await running(script);
    const result = await turn.abort();
    expect(result).toMatchObject({ status: "aborted", text: "begun" });
    expect(await turn).toBe(result);
    expect(await turn.abort()).toBe(result);
    expect((await collected(turn)).at(-1)).toEqual({ type: "finished", result });
    mock.assertReceived("abort_message", { times: 1 });
  });

  it("is aborted in the queue", async () => {
    const { mock, client, runtime, turn } = await running(script);
    const second = client.sendTurn({ runtime, payload: say("second") });
    expect(await second.abort()).toMatchObject({ status: "aborted", text: "" });
    mock.assertReceived("remove_queue_item", { times: 1 });
    mock.assertReceived("abort_message", { times: 0 });
    expect(turn.status).toBe("running");
    await turn.abort();
  });

  it("is stopped by leaving a loop", async () => {
    const { mock, turn } = await running(script);
    for await (const event of turn) {
      if (event.type === "assistant_delta") break;
    }
    // Leaving has waited for the end.
    expect(turn.status).toBe("aborted");
    mock.assertReceived("abort_message", { times: 1 });
    expect(await turn).toMatchObject({ status: "aborted", text: "begun" });
  });

  it("is stopped by its signal", async () => {
    const abort = new AbortController();
    const { mock, turn } = await running(script, { signal: abort.signal });
    const reading = rejection(collected(turn));
    const awaiting = rejection(turn);
    const reason = new Error("enough");
    abort.abort(reason);
    const error = await reading;
    expect(error).toBeInstanceOf(AbortError);
    expect(error).toMatchObject({ name: "AbortError", code: "ABORT_ERR", cause: reason });
    expect(await awaiting).toBe(error);
    expect(await rejection(turn)).toBe(error);
    expect(await rejection(collected(turn))).toBe(error);
    expect(turn.status).toBe("aborted");
    expect(await mock.waitReceived("abort_message")).toBe(true);
  });
});

it("is stopped by an exception in a loop", async () => {
  const { mock, turn } = await running();
  const failure = new Error("in the loop");
  const reading = async () => {
    for await (const _ of turn) throw failure;
  };
  expect(await rejection(reading())).toBe(failure);
  expect(await turn).toMatchObject({ status: "aborted" });
  mock.assertReceived("abort_message", { times: 1 });
});

it("is stopped by leaving a loop over its text", async () => {
  const { turn } = await running();
  const seen: string[] = [];
  for await (const text of turn.textStream()) {
    seen.push(text);
    break;
  }
  expect(seen).toEqual(["begun"]);
  expect(await turn).toMatchObject({ status: "aborted" });
});

it("is stopped by a stream that is cancelled while it waits", async () => {
  const { turn } = await running();
  const stream = turn.textStream();
  expect((await stream.next()).value).toBe("begun");
  const waiting = stream.next();
  expect(await stream.return?.()).toEqual({ done: true, value: undefined });
  expect(await waiting).toEqual({ done: true, value: undefined });
  expect((await turn).status).toBe("aborted");
  const failure = new Error("given back");
  expect(await rejection(stream.throw?.(failure) ?? Promise.resolve())).toBe(failure);
});

it("is stopped when its scope is left", async () => {
  const { mock, client, runtime } = await prepared(hanging);
  let left: { status: string } | undefined;
  {
    const begun = firstText(client);
    await using turn = client.sendTurn({ runtime, payload: say("?") });
    left = turn;
    await begun;
  }
  expect(left?.status).toBe("aborted");
  mock.assertReceived("abort_message", { times: 1 });
});

it("is left as it is when its scope is left after the end", async () => {
  const { mock, client, runtime } = await prepared([{ text: "42" }]);
  const turn = client.sendTurn({ runtime, payload: say("?") });
  await turn;
  await turn[Symbol.asyncDispose]();
  for await (const _ of turn) break;
  expect(turn.status).toBe("completed");
  mock.assertReceived("abort_message", { times: 0 });
});

it("goes on when it is detached", async () => {
  const { mock, client, runtime, turn } = await running();
  const seen: TurnEvent[] = [];
  const reading = (async () => {
    for await (const event of turn) seen.push(event);
  })();
  const awaiting = rejection(turn);
  turn.detach();
  turn.detach();
  await reading;
  expect(seen.some(({ type }) => type === "finished")).toBe(false);
  expect(await awaiting).toBeInstanceOf(TurnInterrupted);
  expect(await rejection(turn.abort())).toBeInstanceOf(TurnInterrupted);
  expect(await collected(turn)).toEqual([]);
  await turn[Symbol.asyncDispose]();
  expect(turn.status).toBe("detached");
  expect(turn.explain()).toMatch(/^detached: /);
  // Whatever a detached turn sends was sent before the answer to this.
  expect(await client.sync({ runtime })).toMatchObject({ success: true });
  mock.assertReceived("abort_message", { times: 0 });
  expect(await client.abort({ runtime })).toMatchObject({ aborted: true });
});

it("keeps the tools of a session that is gone, to its end", async () => {
  setFlagsFromString("--expose-gc");
  const gc: () => void = runInNewContext("gc");
  // The first call runs when the turn is detached, the second comes later.
  const toolCalls = [1, 2].map(() => ({ name: "lookup", input: {} }));
  const mock = await startMock([{ text: "done", toolCalls }]);
  const client = await connected(mock);
  let kept = 0;
  const gone = new FinalizationRegistry<void>(() => {
    kept -= 1;
  });
  const finished = new Promise((resolve) => {
    client.onMessage(({ type }) => type === "turn_finished" && resolve(undefined));
  });
  let answer = () => {};
  const leave = async () => {
    let begun = () => {};
    const called = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const going = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const lookup = tool({
      name: "lookup",
      description: "Looks up",
      parameters: { type: "object" },
      execute: async () => {
        begun();
        await going;
        return "found";
      },
    });
    const session = await client.session({ agentId: "a", tools: [lookup] });
    gone.register(session, undefined);
    kept += 1;
    const turn = session.send("?");
    await called;
    turn.detach();
  };
  await leave();
  const collect = async (rounds: number) => {
    for (let round = 0; round < rounds && kept > 0; round += 1) {
      await client.info();
      gc();
    }
  };
  await collect(10);
  expect(kept).toBe(1);
  answer();
  await finished;
  const answers = mock.receivedOf("external_tool_call_response");
  const found = { result: { content: [{ text: "found" }] } };
  expect(answers).toMatchObject([found, found]);
  await collect(100);
  expect(kept).toBe(0);
});

it("is not changed by a detach after its end", async () => {
  const { client, runtime } = await prepared([{ text: "42" }]);
  const turn = client.sendTurn({ runtime, payload: say("?") });
  await turn;
  turn.detach();
  expect(turn.status).toBe("completed");
  expect((await turn).text).toBe("42");
});
