/** Results of a form that the program asks for, against the server double. */

import {
  allow,
  InvalidCommand,
  InvalidOption,
  type OutputSchema,
  type RunTurnOptions,
  type SessionOptions,
  type StandardSchemaV1,
  StructuredOutputError,
  TurnAborted,
  TurnFailed,
  tool,
} from "@letta/app-client-native";
import type { ScriptedTurn, ScriptOptions } from "@letta/app-client-native/testing";
import { describe, expect, expectTypeOf, it, vi } from "vitest";
import { z } from "zod";
import { connected, firstText, rejection, startMock } from "./helpers.js";

const finding = z.object({ file: z.string(), line: z.number() });
const good = { file: "a.py", line: 7 };

/** A turn that hands in these results, one after the other. */
const submits = (...inputs: unknown[]): ScriptedTurn => ({
  text: "done",
  toolCalls: inputs.map((input) => ({ name: "submit_result", input, needsApproval: true })),
});

const silent: ScriptedTurn = { text: "It is in a.py." };

async function started(script: ScriptOptions | ScriptedTurn[], options: SessionOptions = {}) {
  const mock = await startMock(script);
  const client = await connected(mock);
  return { mock, client, session: await client.session({ agentId: "agent-1", ...options }) };
}

type Mock = Awaited<ReturnType<typeof startMock>>;

/** The groups of tools that were registered, one after the other. */
const registered = (mock: Mock) =>
  mock
    .receivedOf("runtime_external_tools_update")
    .map(({ updates }) => (updates as { external_tools: object[] }[])[0]?.external_tools);

/** What was said to the agent, as text. */
const said = (mock: Mock) =>
  mock
    .receivedOf("input")
    .map(({ payload }) => (payload as { messages?: { content: unknown }[] }).messages)
    .flatMap((messages) => (messages ? [JSON.stringify(messages[0]?.content)] : []));

/** What was answered to the calls of the tool. */
const answers = (mock: Mock) =>
  mock.receivedOf("external_tool_call_response").map(({ result }) => {
    const { content, is_error } = result as { content: { text: string }[]; is_error?: boolean };
    return { text: content[0]?.text, refused: is_error ?? false };
  });

it("gives what the agent hands in, validated and typed", async () => {
  const { mock, session } = await started([submits(good)]);
  const result = await session.run("Worst bug?", { outputSchema: finding });
  expectTypeOf(result.output).toEqualTypeOf<{ file: string; line: number }>();
  expect(result).toMatchObject({ output: good, text: "done", status: "completed" });
  expect(answers(mock)).toEqual([{ text: expect.any(String), refused: false }]);
  expect(said(mock)).toHaveLength(1);
  expect(said(mock)[0]).toContain("Worst bug?");
  expect(said(mock)[0]).toContain("submit_result");
  // Nobody was asked, and nothing else was allowed.
  const decisions = mock.receivedOf("input").map(({ payload }) => payload as { kind: string });
  expect(decisions.filter(({ kind }) => kind === "approval_response")).toMatchObject([
    { decision: { behavior: "allow" } },
  ]);
});

it("offers the tool in a scope of its own for that time, beside those of the session", async () => {
  const weather = tool({
    name: "weather",
    description: "Forecast the weather",
    parameters: { type: "object" },
    execute: () => "sunny",
  });
  const both = { ...submits(good) };
  both.toolCalls = [...(both.toolCalls ?? []), { name: "weather" }];
  const { mock, session } = await started([both], { tools: [weather] });
  const { toolCalls } = await session.run("?", { outputSchema: finding });
  expect(toolCalls.map(({ output }) => output)).toEqual([expect.any(String), "sunny"]);
  const own = { tools: [weather.definition] };
  await vi.waitFor(() => expect(registered(mock)).toHaveLength(2));
  const offered = registered(mock);
  expect(offered).toEqual([
    [own, { scope_id: expect.stringContaining("submit_result"), tools: [expect.any(Object)] }],
    [own],
  ]);
  const [, group] = offered[0] as { scope_id: string; tools: { name: string }[] }[];
  expect(group?.tools).toMatchObject([
    {
      name: "submit_result",
      parameters: { type: "object", required: ["file", "line"] },
    },
  ]);
  expect(mock.receivedOf("input")[0]).toMatchObject({
    payload: { external_tool_scope_ids: [group?.scope_id] },
  });
  // It is gone: nobody is asked to run it, and it is allowed no more.
  expect((await session.run("?")).toolCalls).toMatchObject([
    { status: "error" },
    { output: "sunny" },
  ]);
  mock.assertReceived("external_tool_call_response", { times: 3 });
});

it("starts the conversation again where the server is too old to change tools", async () => {
  const { mock, session } = await started({
    generation: "split",
    turnEvents: false,
    correlation: false,
    turns: [submits(good)],
  });
  expect(await session.run("?", { outputSchema: finding })).toMatchObject({ output: good });
  await vi.waitFor(() => expect(mock.receivedOf("runtime_start")).toHaveLength(3));
  expect(mock.receivedOf("runtime_start")).toMatchObject([
    { mode: "standard" },
    { conversation_id: session.conversationId, external_tools: [{ tools: [{}] }] },
    { conversation_id: session.conversationId, external_tools: [] },
  ]);
});

it("sends what does not fit back to the agent, which may try again", async () => {
  const { mock, session } = await started([submits({ file: "a.py", line: "7" }, good)]);
  expect((await session.run("?", { outputSchema: finding })).output).toEqual(good);
  expect(answers(mock)).toEqual([
    { text: expect.stringContaining("- line: "), refused: true },
    { text: expect.any(String), refused: false },
  ]);
  expect(said(mock)).toHaveLength(1);
});

it("keeps the last result that fits", async () => {
  const { session } = await started([submits(good, { file: "b.py", line: 1 }, { line: 2 })]);
  const { output } = await session.run("?", { outputSchema: finding });
  expect(output).toEqual({ file: "b.py", line: 1 });
});

it("asks once more when a turn ends without a result", async () => {
  const { mock, session } = await started([silent, submits(good)]);
  const { output, text, usage } = await session.run("?", { outputSchema: finding });
  expect({ output, text }).toEqual({ output: good, text: "done" });
  expect(said(mock)).toEqual([
    expect.stringContaining("?"),
    expect.stringContaining("not submitted"),
  ]);
  expect(session.usage).toEqual(usage);
  await vi.waitFor(() => expect(registered(mock)).toHaveLength(2));
});

it("counts the first turn when the second one fails", async () => {
  const failing: ScriptedTurn = { error: "no credits", usage: [10, 2] };
  const { session } = await started([{ ...silent, usage: [1000, 200] }, failing]);
  const error = await rejection(session.run("?", { outputSchema: finding }));
  expect(error).toBeInstanceOf(TurnFailed);
  expect((error as TurnFailed).result?.usage.totalTokens).toBe(1212);
  expect(session.usage.totalTokens).toBe(1212);
});

it("gives up after the second turn, and tells what was wrong", async () => {
  const { mock, session } = await started([silent, submits({ file: 3, line: 7 }), submits(good)]);
  const error = await rejection(session.run("?", { outputSchema: finding }));
  expect(error).toBeInstanceOf(StructuredOutputError);
  expect(error).toMatchObject({
    code: "structured_output",
    text: "done",
    errors: [expect.stringMatching(/^file: /)],
    message: expect.stringContaining("file: "),
    result: { status: "completed" },
  });
  expect(said(mock)).toHaveLength(2);
  await vi.waitFor(() => expect(registered(mock).at(-1)).toEqual([]));
  expect((await session.run("?", { outputSchema: finding })).output).toEqual(good);
});

it("tells that there was none at all", async () => {
  const { session } = await started([silent]);
  expect(await rejection(session.run("?", { outputSchema: finding }))).toMatchObject({
    text: "It is in a.py.",
    errors: [],
    message: "the agent submitted no result",
  });
});

describe("a JSON schema", () => {
  const schema = {
    type: "object",
    properties: { file: { type: "string" } },
    required: ["file"],
  } as const;

  it("demands an object with what is required", async () => {
    const turns = [submits({ file: 3 }, { file: "a.py" })];
    const { mock, session } = await started(turns);
    const { output } = await session.run("?", { outputSchema: schema });
    expectTypeOf(output).toEqualTypeOf<Record<string, unknown>>();
    expect(output).toEqual({ file: "a.py" });
    const [first, second] = answers(mock);
    expect(first).toMatchObject({
      refused: true,
      text: expect.stringContaining("- file: expected text, got 3"),
    });
    expect(second?.refused).toBe(false);
  });

  it("is refused by the server itself where what is required is missing", async () => {
    const wrong = submits({ name: "a.py" });
    const { mock, session } = await started([wrong, wrong]);
    const refusal =
      "submit_result tool missing required parameter: file. Received parameters: name";
    await expect(session.run("?", { outputSchema: schema })).rejects.toMatchObject({
      errors: [refusal],
      message: expect.stringContaining(`the result was refused: ${refusal}`),
    });
    expect(JSON.stringify(mock.received)).toContain(
      `The result you submitted was refused: ${refusal}`,
    );
    expect(answers(mock)).toEqual([]);
  });

  it("lets be left out what may be null", async () => {
    const whole = { file: "a.py", line: null };
    const { session } = await started([submits(whole), submits({ file: "a.py" })]);
    const properties = { ...schema.properties, line: { type: ["integer", "null"] } };
    const outputSchema = { type: "object", properties, required: ["file", "line"] };
    for (let round = 0; round < 2; round += 1) {
      expect((await session.run("?", { outputSchema })).output).toEqual(whole);
    }
  });

  it("may be one of anything", async () => {
    const { mock, session } = await started([submits({ result: 3 }, { result: ["a", "b"] })]);
    const outputSchema: OutputSchema = { type: "array", items: { type: "string" } };
    const { output } = await session.run("?", { outputSchema });
    expectTypeOf(output).toBeUnknown();
    expect(output).toEqual(["a", "b"]);
    expect(answers(mock)[0]?.text).toContain("result: expected an array, got 3");
  });

  it("is what a library writes of values that are no objects, too", async () => {
    const { session } = await started([submits({ result: [1, "2"] }, { result: [1, 2] })]);
    const { output } = await session.run("?", { outputSchema: z.array(z.number()) });
    expectTypeOf(output).toEqualTypeOf<number[]>();
    expect(output).toEqual([1, 2]);
  });

  it("can be given where the library does not write it", async () => {
    const byHand: StandardSchemaV1<unknown, Date> = {
      "~standard": {
        version: 1,
        vendor: "byhand",
        validate: async (value) => {
          return typeof value === "string"
            ? { value: new Date(value) }
            : { issues: [{ message: "expected a day" }] };
        },
      },
    };
    const turns = [submits({ result: 1 }, { result: "2020-02-02" })];
    const { mock, session } = await started(turns);
    const outputJsonSchema = { type: "string", format: "date" };
    const { output } = await session.run("?", { outputSchema: byHand, outputJsonSchema });
    expectTypeOf(output).toEqualTypeOf<Date>();
    expect(output).toEqual(new Date("2020-02-02"));
    const texts = answers(mock).map(({ text }) => text);
    expect(texts[0]).toContain("- expected a day");
    const refused = await rejection(session.run("?", { outputSchema: byHand }));
    expect(refused).toBeInstanceOf(InvalidOption);
    expect(refused).toMatchObject({
      message: expect.stringContaining("outputSchema: this schema of byhand has no JSON schema"),
      hint: expect.stringContaining("as outputJsonSchema"),
    });
  });
});

it.each<[string, unknown]>([
  ["a text", "object"],
  ["null", null],
  ["a list", []],
  ["what has no JSON", { type: "object", default: 1n }],
])("refuses %s as a schema before anything is sent", async (_, outputSchema) => {
  const { mock, session } = await started([submits(good)]);
  const error = await rejection(session.run("?", { outputSchema: outputSchema as OutputSchema }));
  expect(error).toBeInstanceOf(InvalidOption);
  expect(error).toMatchObject({ message: expect.stringMatching(/^outputSchema[.:]/) });
  const ignored = { outputSchema } as object;
  if (outputSchema) expect(() => session.send("?", ignored)).toThrow("outputSchema: only run");
  expect(registered(mock)).toEqual([]);
  mock.assertReceived("input", { times: 0 });
});

it.each([[5], [null], [{ a: 1 }]])(
  "refuses %j as a prompt before anything is sent",
  async (prompt) => {
    const { mock, session } = await started([submits(good)]);
    const wrong = prompt as unknown as string;
    const error = await rejection(session.run(wrong, { outputSchema: finding }));
    expect(error).toBeInstanceOf(InvalidCommand);
    const { message } = (await rejection(session.run(wrong))) as Error;
    expect(error).toMatchObject({ message });
    expect(registered(mock)).toEqual([]);
    mock.assertReceived("input", { times: 0 });
  },
);

it("refuses what has no JSON in a prompt, before anything is sent", async () => {
  const { mock, session } = await started([submits(good)]);
  const parts = [{ type: "text", text: "?", meta: new Map() }] as never;
  expect(await rejection(session.run(parts, { outputSchema: finding }))).toMatchObject({
    code: "invalid_command",
    message: "field `payload.messages[0].content[0].meta`: expected a JSON value, got Map",
  });
  expect(registered(mock)).toEqual([]);
});

it("does not take what an earlier turn hands in", async () => {
  const { mock, client, session } = await started([{ text: "half", hang: true }]);
  const text = firstText(client);
  const running = rejection(session.run("?", { outputSchema: finding }));
  await text;
  mock.push({
    type: "external_tool_call_request",
    request_id: "late",
    scope_id: "an earlier one",
    runtime: session.runtime,
    tool_call_id: "call-1",
    tool_name: "submit_result",
    input: good,
  });
  await mock.waitReceived("external_tool_call_response");
  await session.close();
  expect(await running).toBeInstanceOf(TurnAborted);
  const refused = { text: "nobody is waiting for the result any more", refused: true };
  expect(answers(mock)).toEqual([refused]);
});

const standard = finding["~standard"];
const bug = () => new TypeError("my bug");

it.each<[string, StandardSchemaV1]>([
  [
    "throws",
    finding.refine(() => {
      throw bug();
    }),
  ],
  ["rejects with", { "~standard": { ...standard, validate: () => Promise.reject(bug()) } }],
])(
  "rejects with what the schema's own code %s, and does not ask again",
  async (_, outputSchema) => {
    const { mock, client, session } = await started([{ ...submits(good), usage: [3, 4] }]);
    const error = await rejection(session.run("?", { outputSchema }));
    expect(error).toBeInstanceOf(StructuredOutputError);
    expect(error).toMatchObject({
      code: "structured_output",
      message: "the output schema failed: my bug",
      cause: bug(),
      errors: [],
      retryable: false,
      result: { text: "done", status: "completed", usage: { totalTokens: 14 } },
    });
    expect((error as Error).cause).toBeInstanceOf(TypeError);
    expect(said(mock)).toHaveLength(1);
    // The agent is not told that its data are wrong, nor what the program's fault is.
    expect(mock.receivedOf("external_tool_call_response")).toMatchObject([
      { error: "the program failed to check the result; do not submit it again" },
    ]);
    expect(client.stats.handlerErrors).toBe(1);
  },
);

it("is refused where the session has a tool of that name", async () => {
  const own = tool({
    name: "submit_result",
    description: "",
    parameters: { type: "object" },
    execute: () => "own",
  });
  const { mock, session } = await started([submits(good)], { tools: [own] });
  const error = await rejection(session.run("?", { outputSchema: finding }));
  expect(error).toBeInstanceOf(InvalidOption);
  mock.assertReceived("input", { times: 0 });
  expect((await session.run("?")).toolCalls).toMatchObject([{ output: "own" }]);
});

it("lets several in one conversation run one after the other, also of several sessions", async () => {
  const results = [1, 2, 3].map((line) => ({ file: "a.py", line }));
  const { mock, client, session } = await started(results.map((result) => submits(result)));
  const { conversationId } = session;
  const other = await client.session({ agentId: "agent-1", conversationId });
  const runs = [session, other, session].map((each, index) =>
    each.run(`question ${index}`, { outputSchema: finding }),
  );
  expect((await Promise.all(runs)).map(({ output }) => output)).toEqual(results);
  expect(said(mock).map((text) => /question \d/.exec(text)?.[0])).toEqual([
    "question 0",
    "question 1",
    "question 2",
  ]);
  const sizes = () => registered(mock).map((groups) => groups?.length);
  await vi.waitFor(() => expect(sizes()).toEqual([1, 0, 1, 0, 1, 0]));
});

it("is stopped by its signal, while it runs and while it waits", async () => {
  const { mock, client, session } = await started([{ text: "half", hang: true }, submits(good)]);
  const [first, second] = [new AbortController(), new AbortController()];
  const text = firstText(client);
  const running = rejection(session.run("1", { outputSchema: finding, signal: first.signal }));
  const waiting = rejection(session.run("2", { outputSchema: finding, signal: second.signal }));
  const third = session.run("3", { outputSchema: finding });
  await text;
  second.abort("not wanted");
  expect(await waiting).toMatchObject({ name: "AbortError", cause: "not wanted" });
  first.abort("too slow");
  expect(await running).toMatchObject({ name: "AbortError", cause: "too slow" });
  expect((await third).output).toEqual(good);
  mock.assertReceived("abort_message", { times: 1 });
  expect(said(mock).join()).not.toContain('"2"');
  const sizes = () => registered(mock).map((groups) => groups?.length);
  await vi.waitFor(() => expect(sizes()).toEqual([1, 0, 1, 0]));
  const never = session.run("4", { outputSchema: finding, signal: AbortSignal.abort("no") });
  expect(await rejection(never)).toMatchObject({ name: "AbortError", cause: "no" });
  const signal = "soon" as unknown as AbortSignal;
  await expect(session.run("5", { outputSchema: finding, signal })).rejects.toThrow(InvalidOption);
});

it("ends with its session, also what still waits", async () => {
  const { mock, client, session } = await started([{ text: "half", hang: true }]);
  const text = firstText(client);
  const runs = [1, 2].map(() => rejection(session.run("?", { outputSchema: finding })));
  await text;
  await session.close();
  const [running, waiting] = await Promise.all(runs);
  expect(running).toBeInstanceOf(TurnAborted);
  expect(running).toMatchObject({ result: { text: "half", status: "aborted" } });
  expect(waiting).toBeInstanceOf(TurnAborted);
  expect(said(mock)).toHaveLength(1);
});

it("fails as the turn does, and takes the tool back", async () => {
  const { mock, session } = await started([{ text: "half", error: "no credits" }], {
    check: false,
    onApproval: () => allow(),
  });
  const error = await rejection(session.run("?", { outputSchema: finding }));
  expect(error).toBeInstanceOf(TurnFailed);
  expect(error).toMatchObject({ result: { text: "half" } });
  await vi.waitFor(() => expect(registered(mock).at(-1)).toEqual([]));
  expect(said(mock)).toHaveLength(1);
});

it("loses the connection as any other turn", async () => {
  const { session } = await started([{ text: ["a", "b"], disconnectAfter: 1 }]);
  const error = await rejection(session.run("?", { outputSchema: finding }));
  expect(error).toMatchObject({ code: "turn_interrupted" });
});

it("adds its tool to what is allowed anyway", async () => {
  const toolCalls = [{ name: "Write", needsApproval: true }, ...(submits(good).toolCalls ?? [])];
  for (const [options, own] of [
    [{ allow: ["Write"] }, {}],
    [{}, { allow: ["Write"] }],
  ] as [SessionOptions, RunTurnOptions][]) {
    const { session } = await started([{ toolCalls }], options);
    const result = await session.run("?", { outputSchema: finding, ...(own as object) });
    expect(result.output).toEqual(good);
    expect(result.toolCalls.map(({ status }) => status)).toEqual(["success", "success"]);
  }
});
