/** Turns that were sent already, waited for together, against the server double. */

import {
  ApprovalRequired,
  allow,
  type Batch,
  type BatchProgress,
  type GatherOptions,
  gather,
  map,
  type Prompt,
  type Turn,
} from "@letta/app-client-native";
import type { ScriptedTurn } from "@letta/app-client-native/testing";
import { expect, expectTypeOf, it } from "vitest";
import { connected, nextWarning, rejection, startMock } from "./helpers.js";

/** A session for each of three agents. */
async function started(script: ScriptedTurn[]) {
  const mock = await startMock(script);
  const client = await connected(mock);
  const open = (agentId: string) => client.session({ agentId });
  const sessions = await Promise.all(["agent-1", "agent-2", "agent-3"].map(open));
  /** Sends a prompt to each; the double plays its turns in the order of the inputs. */
  const send = async (...prompts: Prompt[]) => {
    const turns: Turn[] = [];
    for (const [index, prompt] of prompts.entries()) {
      turns.push((sessions[index] as (typeof sessions)[0]).send(prompt));
      expect(await mock.waitReceived("input", turns.length)).toBe(true);
    }
    return turns;
  };
  return { mock, client, sessions, send };
}

it("gives errors of permissions that can be answered", async () => {
  const { mock, sessions } = await started([
    { text: "done", toolCalls: [{ name: "Bash", needsApproval: true }] },
  ]);
  const [session] = sessions as [(typeof sessions)[0]];
  const { items } = await gather([session.send("?", { approvals: "pause" })]);
  const error = items[0]?.error as ApprovalRequired;
  expect(error).toBeInstanceOf(ApprovalRequired);
  expect(error.request.toolName).toBe("Bash");
  error.respond(allow());
  expect(await mock.waitReceived("input", 2)).toBe(true);
  expect(mock.receivedOf("input")[1]).toMatchObject({
    payload: { kind: "approval_response", decision: { behavior: "allow" } },
  });
});

it("gives items in the order of the turns", async () => {
  const { send } = await started([{ text: "one" }, { text: "two" }, { text: "three" }]);
  const parts: Prompt = [{ type: "text", text: "b" }];
  const turns = await send("a", parts, "c");
  expect(turns.map(({ prompt, agentId }) => [prompt, agentId])).toEqual([
    ["a", "agent-1"],
    [parts, "agent-2"],
    ["c", "agent-3"],
  ]);
  const seen: BatchProgress[] = [];
  const onProgress = (progress: BatchProgress) => void seen.push(progress);
  const batch = await gather(new Set(turns.toReversed()), { onProgress });
  expectTypeOf(batch).toEqualTypeOf<Batch>();
  expect(batch.items).toEqual([
    { prompt: "c", agentId: "agent-3", result: await turns[2] },
    { prompt: parts, agentId: "agent-2", result: await turns[1] },
    { prompt: "a", agentId: "agent-1", result: await turns[0] },
  ]);
  expect(batch.items.map(({ result }) => result?.text)).toEqual(["three", "two", "one"]);
  expect(batch.usage.totalTokens).toBe(36);
  expect(seen.map(({ done, total }) => [done, total])).toEqual([
    [1, 3],
    [2, 3],
    [3, 3],
  ]);
  for (const { index, item } of seen) expect(item).toBe(batch.items[index]);
  // What the language has for it gives the results.
  expect((await Promise.all(turns)).map(({ text }) => text)).toEqual(["one", "two", "three"]);
});

it("gives turns that fail as errors, as map does, and counts each once", async () => {
  const { client, send } = await started([{ text: "half", error: "no credits" }]);
  const [turn] = (await send("a")) as [Turn];
  const { items, usage } = await gather([turn, turn]);
  const mapped = await map(client, ["a"], { agents: ["agent-1"] });
  for (const { error } of [...items, ...mapped.items]) {
    expect(error).toMatchObject({
      code: "turn_failed",
      message: "the turn failed: no credits",
      result: { status: "failed", text: "half" },
    });
  }
  expect(items[0]?.error).toHaveProperty("result", await turn);
  expect(usage).toEqual((await turn).usage);
});

it("tells every end in its item", async () => {
  const asking = { toolCalls: [{ name: "Bash", needsApproval: true, input: {} }] };
  const { mock, sessions } = await started([{ text: "half", hang: true }, asking]);
  const [first, second, third] = sessions as [(typeof sessions)[0], ...typeof sessions];
  const stopped = first.send("a");
  expect(await mock.waitReceived("input", 1)).toBe(true);
  const paused = second?.send("b", { approvals: "pause" }) as Turn;
  const detached = third?.send("c") as Turn;
  detached.detach();
  await paused;
  void stopped.abort();
  const { items } = await gather([stopped, paused, detached]);
  expect(items.map(({ error }) => error)).toMatchObject([
    { code: "turn_aborted" },
    { code: "approval_required", request: { toolName: "Bash" } },
    { code: "turn_interrupted" },
  ]);
});

it("stops all turns that are open when its signal is aborted, and only then", async () => {
  const { mock, client, send } = await started([{ text: "one" }, { text: "half", hang: true }]);
  const turns = await send("a", "b", "c");
  await turns[0];
  const stop = new AbortController();
  const seen: number[] = [];
  const onProgress = ({ done }: BatchProgress) => void seen.push(done);
  const gathered = rejection(gather(turns, { signal: stop.signal, onProgress }));
  await client.info();
  mock.assertReceived("abort_message", { times: 0 });
  stop.abort("enough");
  expect(await gathered).toMatchObject({ name: "AbortError", cause: "enough" });
  expect((await Promise.all(turns)).map(({ status }) => status)).toEqual([
    "completed",
    "aborted",
    "aborted",
  ]);
  mock.assertReceived("abort_message", { times: 2 });
  expect(seen).toEqual([1]);
});

it("stops them at once for a signal that is aborted already", async () => {
  const { send } = await started([{ text: "half", hang: true }]);
  const turns = await send("a");
  const failed = await rejection(gather(turns, { signal: AbortSignal.abort("no") }));
  expect(failed).toMatchObject({ name: "AbortError", cause: "no" });
  expect(await turns[0]).toMatchObject({ status: "aborted" });
});

it("stops the others at the first that fails, when it is to check", async () => {
  const { mock, send } = await started([
    { text: "half", error: "no credits" },
    { text: "half", hang: true },
  ]);
  const turns = await send("a", "b", "c");
  const seen: number[] = [];
  const onProgress = ({ done }: BatchProgress) => void seen.push(done);
  const failed = await rejection(gather(turns, { check: true, onProgress }));
  expect(failed).toMatchObject({ code: "turn_failed", result: { text: "half" } });
  const others = await Promise.all(turns.slice(1));
  expect(others.map(({ status }) => status)).toEqual(["aborted", "aborted"]);
  expect(seen).toEqual([]);
  mock.assertReceived("input", { times: 3 });
});

it("checks nothing where all is well", async () => {
  const { send } = await started([{ text: "yes" }]);
  const { items } = await gather(await send("a", "b"), { check: true });
  expect(items).toMatchObject([{ result: { text: "yes" } }, { result: { text: "yes" } }]);
});

it("is done at once with nothing to wait for", async () => {
  const { items, usage } = await gather([]);
  expect([items, usage.totalTokens]).toEqual([[], 0]);
});

it("reports what its observer throws", async () => {
  const { send } = await started([{ text: "yes" }]);
  const warned = nextWarning("AppClientHandlerWarning");
  const fail = () => {
    throw new Error("no display");
  };
  const { items } = await gather(await send("a"), { onProgress: fail });
  expect(items).toMatchObject([{ result: { text: "yes" } }]);
  expect((await warned).message).toContain("a handler of onProgress failed: no display");
});

it("refuses what it cannot use, and stops nothing", async () => {
  const { mock, client, send } = await started([{ text: "half", hang: true }]);
  const [turn] = (await send("a")) as [Turn];
  const cases: [unknown, object | undefined, string][] = [
    [turn, {}, "turns: expected a list of turns"],
    [undefined, {}, "turns: expected a list of turns"],
    [[turn, client.info()], {}, "turns: expected what send returned"],
    [[turn, null], {}, "turns: expected what send returned"],
    [[turn], { onProgress: "log" }, "onProgress: expected a function"],
    [[turn], { check: 1 }, "check: expected a boolean"],
    [[turn], { signal: "soon" }, "signal: expected an AbortSignal"],
  ];
  for (const [given, options, words] of cases) {
    const failed = await rejection(gather(given as Turn[], options as GatherOptions));
    expect(failed).toMatchObject({
      code: "invalid_option",
      message: expect.stringContaining(words),
    });
  }
  await client.info();
  mock.assertReceived("abort_message", { times: 0 });
  await turn.abort();
});

it("counts once what turns share", async () => {
  const { mock, sessions } = await started([{ text: "one", delayMs: 50 }, { text: "both" }]);
  const [session] = sessions as [(typeof sessions)[0]];
  const first = session.send("a");
  expect(await mock.waitReceived("input", 1)).toBe(true);
  // They wait in the queue, and are answered together.
  const { items, usage } = await gather([first, session.send("b"), session.send("c")]);
  const results = items.map(({ result }) => result);
  expect(results.map((result) => result?.text)).toEqual(["one", "both", "both"]);
  expect(results.map((result) => result?.usage.totalTokens)).toEqual([12, 12, 12]);
  expect(results.map((result) => result?.ownUsage?.totalTokens)).toEqual([undefined, undefined, 0]);
  expect([usage.totalTokens, session.usage.totalTokens]).toEqual([24, 24]);
});
