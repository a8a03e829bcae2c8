/** Many prompts at once, against the server double. */

import { runInNewContext } from "node:vm";
import {
  AppServerClient,
  type AppServerClientOptions,
  type Batch,
  type BatchProgress,
  Disconnected,
  type MapOptions,
  map,
  type Prompt,
  Session,
  type StructuredResult,
  type TurnResult,
  tool,
} from "@letta/app-client-native";
import type { ScriptedTurn, ScriptOptions } from "@letta/app-client-native/testing";
import { expect, expectTypeOf, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { anotherCopy, connected, nextWarning, rejection, startMock } from "./helpers.js";

async function started(
  script: ScriptOptions | ScriptedTurn[],
  options: Partial<AppServerClientOptions> = {},
) {
  const mock = await startMock(script);
  return { mock, client: await connected(mock, options) };
}

type Mock = Awaited<ReturnType<typeof startMock>>;

/** What was asked in which conversation of which agent. */
const asked = (mock: Mock) =>
  mock.receivedOf("input").flatMap(({ runtime, payload }) => {
    const { agent_id, conversation_id } = runtime as Record<string, string>;
    const { messages = [] } = payload as { messages?: { content: unknown }[] };
    return messages.map(({ content }) => ({ agent_id, conversation_id, content }));
  });

const agents = ["agent-1", "agent-2"];
const prompts = ["a", "b", "c", "d", "e"];

it("asks each in a conversation of its own, with the agents in turn", async () => {
  const { mock, client } = await started([{ text: "yes" }]);
  const batch = await map(client, prompts, { agents, limit: 2, mode: "acceptEdits" });
  expectTypeOf(batch).toEqualTypeOf<Batch<TurnResult>>();
  const wanted = prompts.map((prompt, index) => ({ prompt, agentId: agents[index % 2] }));
  expect(batch.items).toMatchObject(
    wanted.map((item) => ({ ...item, result: { text: "yes", status: "completed" } })),
  );
  const inputs = asked(mock);
  const byPrompt = inputs.map(({ content, agent_id }) => ({ prompt: content, agentId: agent_id }));
  expect(byPrompt.sort((a, b) => String(a.prompt).localeCompare(String(b.prompt)))).toEqual(wanted);
  expect(new Set(inputs.map(({ conversation_id }) => conversation_id)).size).toBe(5);
  expect(new Set(mock.receivedOf("runtime_start").map(({ mode }) => mode))).toEqual(
    new Set(["acceptEdits"]),
  );
  expect(batch.usage).toMatchObject({ promptTokens: 50, completionTokens: 10, totalTokens: 60 });
});

it("works on no more at once than it may, and on that many", async () => {
  const { mock, client } = await started([{ text: "half", hang: true }]);
  const stop = new AbortController();
  const batch = rejection(map(client, prompts, { agents, limit: 3, signal: stop.signal }));
  expect(await mock.waitReceived("input", 3)).toBe(true);
  // A fourth one would have been started by now: what runs is asked for in the same order.
  await client.sync({ runtime: { agent_id: "agent-1", conversation_id: "default" } });
  mock.assertReceived("runtime_start", { times: 3 });
  stop.abort("enough");
  expect(await batch).toMatchObject({ name: "AbortError", cause: "enough" });
  // All that ran was stopped on the server, and nothing else began.
  expect(await mock.waitReceived("abort_message", 3)).toBe(true);
  mock.assertReceived("runtime_start", { times: 3 });
});

it("works on eight at once when nothing is said", async () => {
  const { mock, client } = await started([{ text: "half", hang: true }]);
  const stop = new AbortController();
  const many = Array.from({ length: 12 }, (_, index) => `prompt ${index}`);
  const batch = rejection(map(client, many, { agents, signal: stop.signal }));
  expect(await mock.waitReceived("input", 8)).toBe(true);
  await client.sync({ runtime: { agent_id: "agent-1", conversation_id: "default" } });
  mock.assertReceived("runtime_start", { times: 8 });
  stop.abort();
  expect(await batch).toMatchObject({ name: "AbortError" });
});

it("gives the errors of those that fail, and goes on with the others", async () => {
  const { client } = await started([
    { text: "one" },
    { text: "half", error: "no credits" },
    { text: "three" },
  ]);
  const seen: BatchProgress[] = [];
  const options: MapOptions = { agents, limit: 1, onProgress: (progress) => seen.push(progress) };
  const { items, usage } = await map(client, prompts.slice(0, 3), options);
  const outcomes = items.map((item) => (item.error ? item.error.message : item.result.text));
  expect(outcomes).toEqual(["one", expect.stringContaining("no credits"), "three"]);
  expect(items[1]).toMatchObject({ error: { code: "turn_failed", result: { text: "half" } } });
  expect(usage.totalTokens).toBe(36);
  expect(seen).toEqual(items.map((item, index) => ({ done: index + 1, total: 3, index, item })));
  const [item] = items;
  if (item?.error) expectTypeOf(item).toHaveProperty("error").toEqualTypeOf<Error>();
  else expectTypeOf(item?.result).toEqualTypeOf<TurnResult | undefined>();
});

it("gives the errors also when it is told not to check: so it is anyway", async () => {
  const { client } = await started([{ text: "half", error: "no credits" }, { text: "two" }]);
  const { items } = await map(client, ["a", "b"], { agents, limit: 1, check: false });
  expect(items).toMatchObject([
    { error: { code: "turn_failed", result: { status: "failed", text: "half" } } },
    { result: { text: "two" } },
  ]);
});

it("stops the others at the first that fails, when it is to check", async () => {
  const { mock, client } = await started([
    { text: "half", hang: true },
    { text: "half", hang: true },
    { text: "half", error: "no credits" },
  ]);
  const seen: number[] = [];
  const onProgress = ({ done }: BatchProgress) => void seen.push(done);
  const failed = await rejection(
    map(client, prompts, { agents, limit: 3, check: true, onProgress }),
  );
  expect(failed).toMatchObject({ code: "turn_failed", result: { text: "half" } });
  expect(await mock.waitReceived("abort_message", 2)).toBe(true);
  mock.assertReceived("input", { times: 3 });
  expect(seen).toEqual([]);
});

it("does so with results of a form", async () => {
  const { mock, client } = await started([{ text: "no result" }]);
  const outputSchema = z.object({ n: z.number() });
  const options = { agents, limit: 1, check: true, outputSchema };
  const failed = await rejection(map(client, prompts, options));
  expect(failed).toMatchObject({ code: "structured_output" });
  mock.assertReceived("runtime_start", { times: 1 });
});

it("loses what was not done when the connection is lost", async () => {
  const turns = [{ text: "one" }, { text: ["a", "b"], disconnectAfter: 1 }];
  const { client } = await started(turns, { reconnect: false });
  const { items } = await map(client, ["1", "2", "3"], { agents, limit: 1 });
  expect(items).toMatchObject([
    { result: { text: "one" } },
    { error: { code: "turn_interrupted" } },
    { error: { code: "disconnected" } },
  ]);
});

it("takes tools, a way to decide, prompts of parts, and any iterable", async () => {
  const city = tool({
    name: "city",
    description: "Names a city",
    parameters: { type: "object" },
    execute: () => "Bern",
  });
  const { mock, client } = await started([{ toolCalls: [{ name: "city", needsApproval: true }] }]);
  const parts: Prompt = [{ type: "text", text: "?" }];
  const { items } = await map(client, new Set<Prompt>([parts, "!"]), { agents, tools: [city] });
  expect(items).toHaveLength(2);
  for (const { result } of items) expect(result?.toolCalls).toMatchObject([{ output: "Bern" }]);
  expect(asked(mock).map(({ content }) => content)).toContainEqual(parts);
});

it("gives results of a form", async () => {
  const submit = (input: unknown): ScriptedTurn => ({
    toolCalls: [{ name: "submit_result", input }],
  });
  const { client } = await started([
    submit({ n: 1 }),
    submit({ n: "x" }),
    submit({ n: "x" }),
    submit({ n: 3 }),
  ]);
  const outputSchema = z.object({ n: z.number() });
  const { items, usage } = await map(client, ["1", "2", "3"], { agents, limit: 1, outputSchema });
  expectTypeOf(items[0]?.result).toEqualTypeOf<StructuredResult<{ n: number }> | undefined>();
  expect(items.map(({ result }) => result?.output)).toEqual([{ n: 1 }, undefined, { n: 3 }]);
  expect(items[1]?.error).toMatchObject({ errors: [expect.stringMatching(/^n: /)] });
  // Four turns of two runs.
  expect(usage.totalTokens).toBe(4 * 2 * 12);
});

it("is done at once with nothing to ask", async () => {
  const { mock, client } = await started([{ text: "yes" }]);
  const { items, usage } = await map(client, [], { agents });
  expect([items, usage.totalTokens]).toEqual([[], 0]);
  mock.assertReceived("runtime_start", { times: 0 });
});

it("reports what its observer throws", async () => {
  const { client } = await started([{ text: "yes" }]);
  for (const fail of [
    () => {
      throw new Error("no display");
    },
    () => Promise.reject(new Error("no display")),
    runInNewContext("async () => { throw 'no display'; }"),
  ]) {
    const warned = nextWarning("AppClientHandlerWarning");
    const { items } = await map(client, ["a"], { agents, onProgress: fail });
    expect(items).toMatchObject([{ result: { text: "yes" } }]);
    expect((await warned).message).toContain("a handler of onProgress failed: no display");
  }
});

it.each<[string, unknown, object | undefined, string]>([
  ["one text", "abc", { agents }, "prompts: expected a list of prompts"],
  ["no prompts", undefined, { agents }, "prompts: expected a list of prompts"],
  ["no options", ["a"], undefined, "options: expected an object"],
  ["no agents", ["a"], { agents: [] }, "agents: expected ids of agents"],
  ["one agent", ["a"], { agents: "agent-1" }, "agents: expected ids of agents"],
  ["an agent without an id", ["a"], { agents: [""] }, "agents: expected ids of agents"],
  ["no place", ["a"], { agents, limit: 0 }, "limit: expected a whole number above 0, got 0"],
  ["half a place", ["a"], { agents, limit: 1.5 }, "limit: expected a whole number above 0"],
  ["a wrong observer", ["a"], { agents, onProgress: "log" }, "onProgress: expected a function"],
  ["a wrong signal", ["a"], { agents, signal: "soon" }, "signal: expected an AbortSignal"],
  ["a wrong check", ["a"], { agents, check: "yes" }, "check: expected a boolean"],
  ["what is no tool", ["a"], { agents, tools: [{}] }, "tools: expected what tool(…) makes"],
  ["no time", ["a"], { agents, timeoutMs: 0 }, "timeoutMs: expected milliseconds above 0"],
  ["a wrong word", ["a"], { agents, resend: "x" }, 'resend: expected "if_uncommitted" or "never"'],
  ["no form", ["a"], { agents, outputSchema: 5 }, "outputSchema: expected a Standard Schema"],
])("refuses %s before anything is sent", async (_, given, options, words) => {
  const { mock, client } = await started([{ text: "yes" }]);
  const failed = await rejection(map(client, given as string[], options as MapOptions));
  expect(failed).toMatchObject({
    code: "invalid_option",
    message: expect.stringContaining(words),
  });
  mock.assertReceived("runtime_start", { times: 0 });
});

it.each<[options: object, words: string]>([
  [{ mode: "bogus" }, "`runtime_start`: field `mode`: "],
  [{ fields: { skil_sources: [] } }, "skil_sources"],
  [{ fields: { create_conversation: 5 } }, "create_conversation"],
])(
  "refuses %j, with which nothing could be started, before anything is sent",
  async (given, words) => {
    const { mock, client } = await started([{ text: "yes" }]);
    const options = { agents, ...given } as MapOptions;
    expect(await rejection(map(client, ["a", "b"], options))).toMatchObject({
      code: "invalid_command",
      message: expect.stringContaining(words),
    });
    mock.assertReceived("runtime_start", { times: 0 });
  },
);

it("stops everything for an option that no prompt can use", async () => {
  const { mock, client } = await started([{ text: "yes" }]);
  // Only where the result is asked for it is seen that there are two tools of one name.
  const parameters = { type: "object" };
  const own = tool({ name: "submit_result", description: "", parameters, execute: () => "" });
  const options = { agents, limit: 2, tools: [own], outputSchema: { type: "object" } as const };
  expect(await rejection(map(client, prompts, options))).toMatchObject({
    code: "invalid_option",
    message: expect.stringContaining("outputSchema: the session already has a tool named"),
  });
  expect(mock.receivedOf("runtime_start").length).toBeLessThanOrEqual(2);
  mock.assertReceived("input", { times: 0 });
});

it("sends nothing for a signal that is aborted already", async () => {
  const { mock, client } = await started([{ text: "yes" }]);
  const signal = AbortSignal.abort("no");
  expect(await rejection(map(client, prompts, { agents, signal }))).toMatchObject({
    name: "AbortError",
    cause: "no",
  });
  mock.assertReceived("runtime_start", { times: 0 });
});

it("begins none while a lost connection is opened again", async () => {
  // It would not be tried again by itself for ten hours.
  const reconnect = { baseMs: 36_000_000, capMs: 36_000_000 };
  const { mock, client } = await started([{ text: "yes" }], { reconnect });
  const reopened = new Promise<void>((resolve, reject) => {
    client.onState((state) => {
      if (state === "reconnecting") client.connect().then(() => resolve(), reject);
    });
  });
  const batch = await map(client, Array<string>(30).fill("?"), {
    agents,
    limit: 2,
    onProgress: ({ done }) => {
      if (done === 1) mock.cutConnections();
    },
  });
  await reopened;
  // Those that were under way.
  expect(batch.items.filter(({ error }) => error).length).toBeLessThanOrEqual(2);
});

it("ends at once when it is aborted meanwhile", async () => {
  const reconnect = { baseMs: 36_000_000, capMs: 36_000_000 };
  const { mock, client } = await started([{ text: "yes" }], { reconnect });
  const stop = new AbortController();
  client.onState((state) => {
    if (state === "reconnecting") setTimeout(() => stop.abort(), 50);
  });
  const asking = map(client, Array<string>(30).fill("?"), {
    agents,
    limit: 2,
    signal: stop.signal,
    onProgress: ({ done }) => {
      if (done === 1) mock.cutConnections();
    },
  });
  expect(await rejection(asking)).toHaveProperty("name", "AbortError");
});

it("ends when a turn would where the server is gone", async () => {
  const { mock, client } = await started([{ text: "yes" }]);
  const batch = await map(client, Array<string>(30).fill("?"), {
    agents,
    limit: 2,
    recoverTimeoutMs: 200,
    onProgress: ({ done }) => {
      if (done === 1) void mock.close();
    },
  });
  const kinds = batch.items.flatMap(({ error }) => (error ? [error.name] : []));
  expect(kinds.length).toBeGreaterThanOrEqual(27);
  expect(new Set(kinds.slice(2))).toEqual(new Set(["Disconnected"]));
});

/** The connection is lost just before the call of this number of a method. */
function cutBefore<Name extends string>(
  { mock, client }: Awaited<ReturnType<typeof started>>,
  owner: Record<Name, (...given: never[]) => unknown>,
  name: Name,
  number = 1,
) {
  const plain = owner[name] as (...given: unknown[]) => unknown;
  let calls = 0;
  const spy = vi.spyOn(owner as Record<string, () => unknown>, name);
  spy.mockImplementation(async function (this: unknown, ...given: unknown[]) {
    calls += 1;
    if (calls === number) {
      const lost = new Promise<void>((resolve) => {
        const off = client.onState((state) => {
          if (state !== "reconnecting") return;
          off();
          resolve();
        });
      });
      mock.cutConnections();
      await lost;
    }
    return plain.apply(this, given);
  } as () => unknown);
  onTestFinished(() => spy.mockRestore());
}

it.each([
  [Session.prototype, "run", map],
  [AppServerClient.prototype, "runtimeStart", map],
  [AppServerClient.prototype, "sync", map],
  // It meets errors that are not of its own copy of the package.
  [AppServerClient.prototype, "sync", anotherCopy().map as unknown as typeof map],
])("sends what was not sent for want of a connection on the next: %#", async (owner, name, map) => {
  const world = await started([{ text: "yes" }]);
  cutBefore(world, owner as unknown as Record<string, () => unknown>, name);
  const { items } = await map(world.client, ["a"], { agents: ["agent-1"], cwd: "/" });
  expect(items).toMatchObject([{ result: { text: "yes" } }]);
  expect(asked(world.mock)).toHaveLength(1);
  // The others are the conversation that is started again on the next connection.
  const starts = world.mock.receivedOf("runtime_start");
  expect(starts.filter((start) => !("conversation_id" in start))).toHaveLength(1);
});

it("does not ask again when a second turn was not sent", async () => {
  const { mock, client } = await started([{ text: "no result" }]);
  const outputSchema = z.object({ n: z.number() });
  let inputs = 0;
  const spy = vi.spyOn(client, "sendTurn");
  const plain = AppServerClient.prototype.sendTurn;
  spy.mockImplementation((...given) => {
    inputs += 1;
    if (inputs === 2) {
      throw new Disconnected("lost", { retryable: true, willReconnect: true });
    }
    return plain.apply(client, given);
  });
  const { items } = await map(client, ["a"], { agents: ["agent-1"], outputSchema });
  expect(items).toMatchObject([{ error: { name: "Disconnected", retryable: false } }]);
  expect(asked(mock)).toHaveLength(1);
});

it("starts no conversation for a prompt that cannot be sent", async () => {
  const { mock, client } = await started([{ text: "yes" }]);
  const part = [{ type: "text", txt: "?" }];
  const wrong = [Number.NaN, null, 7, part] as unknown as Prompt[];
  for (const outputSchema of [undefined, z.object({ n: z.number() })]) {
    const settings = outputSchema ? { agents, outputSchema } : { agents };
    const { items } = await map(client, wrong, settings as MapOptions);
    expect(items.map(({ error }) => error?.name)).toEqual(Array(4).fill("InvalidCommand"));
    expect(mock.receivedOf("runtime_start")).toEqual([]);
  }
  const { items } = await map(client, wrong, { agents });
  // In the words of a session.
  const session = await client.session({ agentId: "agent-1" });
  for (const { prompt, error } of items) {
    const told = (await rejection(session.run(prompt))) as Error;
    expect(error?.message).toBe(told.message);
  }
});

it("refuses a client that is closed", async () => {
  const { client } = await started([{ text: "yes" }]);
  await client.close();
  for (const some of [["a"], []]) {
    expect(await rejection(map(client, some, { agents }))).toHaveProperty("name", "ClientClosed");
  }
});
