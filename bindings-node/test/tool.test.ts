import type {
  AppServerExternalToolCallHandler,
  RuntimeScope,
  RuntimeStartExternalToolsGroup,
} from "@letta/app-client-native";
import {
  type Tool,
  type ToolArguments,
  type ToolContext,
  type ToolSet,
  tool,
  toolSet,
} from "@letta/app-client-native";
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { connected, say, startMock, thrown } from "./helpers.js";
import { context, failure, jsonSchema, plain, text, userSchema } from "./tooling.js";

/** One turn that calls a tool of the set; gives what the server was told and what came of it. */
async function turn(set: ToolSet, name: string, input: object) {
  const mock = await startMock([{ text: "done", toolCalls: [{ name, input }] }]);
  const client = await connected(mock);
  client.onExternalToolCall(set.handler);
  const external_tools = set.externalTools;
  const started = await client.runtimeStart({
    agent_id: "a",
    mode: "unrestricted",
    external_tools,
  });
  if (!started.runtime) throw new Error("no runtime");
  const result = await client.runTurn({ runtime: started.runtime, payload: say("?") });
  const [start] = mock.receivedOf("runtime_start");
  const answers = mock.receivedOf("external_tool_call_response");
  return { client, runtime: started.runtime, start, answers, result };
}

describe("through a server", () => {
  it("offers a tool and runs it", async () => {
    let got: [unknown, ToolContext] | undefined;
    const lookup = tool({
      name: "lookup_user",
      description: "Find a user by email",
      label: "Look up",
      parameters: userSchema(),
      jsonSchema,
      execute: async (args, context) => {
        got = [args, context];
        return { id: 7, email: args.email };
      },
    });
    const { start, result, answers } = await turn(toolSet([lookup]), "lookup_user", {
      email: "x@y.z",
    });
    expect(start?.external_tools).toEqual([
      {
        tools: [
          {
            name: "lookup_user",
            label: "Look up",
            description: "Find a user by email",
            parameters: jsonSchema,
          },
        ],
      },
    ]);
    expect(got?.[0]).toEqual({ email: "x@y.z", domain: "y.z" });
    expect(got?.[1].callId).toBe(result.toolCalls[0]?.id);
    expect(got?.[1].signal.aborted).toBe(false);
    expect(answers).toMatchObject([{ result: text('{"id":7,"email":"x@y.z"}') }]);
    expect(result).toMatchObject({
      status: "completed",
      toolCalls: [{ output: '{"id":7,"email":"x@y.z"}', status: "success" }],
    });
  });

  it("tells the model what is wrong with the arguments", async () => {
    let calls = 0;
    const lookup = tool({
      name: "lookup_user",
      description: "",
      parameters: userSchema(),
      jsonSchema,
      execute: () => {
        calls += 1;
      },
    });
    const { result, answers } = await turn(toolSet([lookup]), "lookup_user", { email: 3 });
    const words = "invalid arguments for lookup_user: email: expected a text";
    expect(answers).toMatchObject([{ result: failure(words) }]);
    expect(result).toMatchObject({
      status: "completed",
      toolCalls: [{ output: words, status: "error" }],
    });
    expect(calls).toBe(0);
  });

  it("tells the model of an exception", async () => {
    const failing = plain(() => Promise.reject(new RangeError("no luck")));
    const { result, answers } = await turn(toolSet([failing]), "plain", {});
    expect(answers).toMatchObject([{ result: failure("no luck") }]);
    expect(result.toolCalls).toMatchObject([{ output: "no luck", status: "error" }]);
  });

  it("answers a call of a tool that it does not have", async () => {
    const registered = toolSet([plain(() => "found")]);
    const set: ToolSet = { ...registered, handler: toolSet([]).handler };
    const { result, answers } = await turn(set, "plain", {});
    expect(answers).toHaveLength(1);
    expect(result.toolCalls).toMatchObject([
      { output: "there is no tool plain here; the tools are: none", status: "error" },
    ]);
  });

  it("stops a tool whose turn is aborted", async () => {
    let begun = () => {};
    const atWork = new Promise<void>((resolve) => {
      begun = resolve;
    });
    let stopped = (_: unknown) => {};
    const over = new Promise<unknown>((resolve) => {
      stopped = resolve;
    });
    const { externalTools, handler } = toolSet([
      plain((_, { signal }) => {
        begun();
        signal.addEventListener("abort", () => stopped(signal.reason));
        return over;
      }),
    ]);
    const mock = await startMock([{ toolCalls: [{ name: "plain" }] }]);
    const client = await connected(mock);
    client.onExternalToolCall(handler);
    const { runtime } = await client.runtimeStart({
      agent_id: "a",
      mode: "unrestricted",
      external_tools: externalTools,
    });
    if (!runtime) throw new Error("no runtime");
    const turn = client.sendTurn({ runtime, payload: say("?") });
    await atWork;
    expect(await turn.abort()).toMatchObject({ status: "aborted" });
    expect(await over).toMatchObject({ name: "AbortError" });
  });
});

describe("arguments", () => {
  const withIssues = (issues: readonly { message: string; path?: PropertyKey[] }[]) =>
    tool({
      name: "t",
      description: "",
      parameters: userSchema({ validate: async () => ({ issues }) }),
      jsonSchema,
      execute: () => expect.fail("it was called"),
    });

  it.each<[string, { message: string; path?: PropertyKey[] }, string]>([
    ["no path", { message: "expected an object" }, "expected an object"],
    ["an empty path", { message: "expected an object", path: [] }, "expected an object"],
    ["a nested path", { message: "expected a text", path: ["a", 0, "b"] }, "a[0].b: expected a"],
    ["a path like the message", { message: "an item", path: ["a"] }, "for t: a: an item"],
    ["a path in the message", { message: "email must be", path: ["email"] }, ": email must be"],
  ])("are refused with %s", async (_, issue, words) => {
    const result = await withIssues([issue]).call({}, context());
    expect(result).toEqual(failure(expect.stringContaining(words)));
    expect(result.content[0]?.text).not.toContain("email: email");
  });

  it("are refused with the keys of path segments", async () => {
    const validate = () => ({ issues: [{ message: "expected 1", path: [{ key: "a" }] }] });
    const made = tool({
      name: "t",
      description: "",
      parameters: userSchema({ validate }),
      jsonSchema,
      execute: () => "found",
    });
    expect(await made.call({}, context())).toEqual(
      failure("invalid arguments for t: a: expected 1"),
    );
  });

  it("are refused with few of many reasons", async () => {
    const issues = Array.from({ length: 10 }, (_, index) => ({
      message: "expected 1",
      path: [index],
    }));
    const { content } = await withIssues(issues).call({}, context());
    expect(content[0]?.text).toMatch(/\[7\]: expected 1; and 2 more$/);
    expect(content[0]?.text).not.toContain("[8]");
  });

  it("may break the schema itself", async () => {
    const validate = () => Promise.reject(new Error("no database"));
    const made = tool({
      name: "t",
      description: "",
      parameters: userSchema({ validate }),
      jsonSchema,
      execute: () => "found",
    });
    expect(await made.call({}, context())).toEqual(failure("no database"));
  });

  it("are judged by a JSON schema: types, enums and required names", async () => {
    const called: unknown[] = [];
    const properties = {
      email: { type: "string" },
      days: { type: "integer", minimum: 1 },
      style: { enum: ["csv", "json"] },
    };
    const made = tool({
      name: "t",
      description: "",
      parameters: { type: "object", properties, required: ["email"] },
      execute: (args) => called.push(args),
    });
    for (const [input, problem] of [
      [{ email: 3 }, "email: expected text, got 3"],
      [{ email: "a", days: 1.5 }, "days: expected an integer, got 1.5"],
      [{ email: "a", style: "xml" }, 'style: expected one of "csv", "json", got "xml"'],
      [null, "email: expected text, but it is missing"],
      [
        { days: "x" },
        'days: expected an integer, got "x"; email: expected text, but it is missing',
      ],
      [7, "arguments: expected an object, got 7"],
      [[1], "arguments: expected an object, got [1]"],
      ["a", 'arguments: expected an object, got "a"'],
    ]) {
      expect(await made.call(input, context())).toEqual(
        failure(`invalid arguments for t: ${problem}`),
      );
    }
    expect(called).toEqual([]);
    // Other keywords are left to the function.
    await made.call({ email: "a", days: 0, more: true }, context());
    expect(called).toEqual([{ email: "a", days: 0, more: true }]);
  });

  it("may leave out what may be null", async () => {
    const called: unknown[] = [];
    const zodded = tool({
      name: "t",
      description: "",
      parameters: z.object({ a: z.string(), b: z.number().nullable() }),
      execute: (args) => called.push(args),
    });
    const { parameters } = zodded.definition;
    const written = tool({
      name: "t",
      description: "",
      parameters: { ...parameters, required: ["a", "b"] },
      execute: (args) => called.push(args),
    });
    for (const made of [zodded, written]) {
      expect(made.definition.parameters.required).toEqual(["a"]);
      await made.call({ a: "x" }, context());
      await made.call({ a: "x", b: null }, context());
    }
    expect(called).toEqual(Array.from({ length: 4 }, () => ({ a: "x", b: null })));
  });

  it("tell of so many problems as help, and how many more there are", async () => {
    const required = Array.from({ length: 10 }, (_, index) => `field${index}`);
    const parameters = { type: "object", required };
    const made = tool({ name: "t", description: "", parameters, execute: () => "" });
    const told = required.slice(0, 8).map((name) => `${name}: is missing`);
    const words = [...told, "and 2 more"].join("; ");
    expect(await made.call({}, context())).toEqual(failure(`invalid arguments for t: ${words}`));
  });

  it("are those of an empty object when there are none", async () => {
    expect(await plain((args) => args).call(null, context())).toEqual(text("{}"));
    expect(await plain((args) => args).call(undefined, context())).toEqual(text("{}"));
    const got: unknown[] = [];
    const validate = (value: unknown) => {
      got.push(value);
      return { issues: [{ message: "expected more" }] };
    };
    const made = tool({
      name: "t",
      description: "",
      parameters: userSchema({ validate }),
      jsonSchema,
      execute: () => "found",
    });
    expect(await made.call(null, context())).toMatchObject({ is_error: true });
    expect(got).toEqual([{}]);
  });

  it("come too late for a call that is over", async () => {
    const abort = new AbortController();
    let calls = 0;
    const made = tool({
      name: "t",
      description: "",
      parameters: userSchema({
        validate: async (value) => {
          abort.abort(new Error("over"));
          return { value: value as { email: string; domain: string } };
        },
      }),
      jsonSchema,
      execute: () => {
        calls += 1;
      },
    });
    expect(await made.call({}, context(abort.signal))).toEqual(failure("over"));
    expect(calls).toBe(0);
  });
});

it.each<[string, object]>([
  ["name", { name: 3 }],
  ["description", { description: undefined }],
  ["label", { label: 3 }],
  ["execute", { execute: "found" }],
])("refuses a tool by its %s", (option, wrong) => {
  const options = { name: "t", description: "", parameters: jsonSchema, execute: () => "found" };
  expect(thrown(() => tool({ ...options, ...wrong }))).toMatchObject({
    code: "invalid_option",
    message: expect.stringMatching(new RegExp(`^${option}: expected`)),
  });
});

it.each(["", "a b", "é", "a.b", "a".repeat(65)])("refuses a tool called %j", (name) => {
  const options = { description: "", parameters: jsonSchema, execute: () => "found" };
  expect(thrown(() => tool({ ...options, name }))).toMatchObject({
    code: "invalid_option",
    message: `name: expected a tool name of 1 to 64 characters from A-Z, a-z, 0-9, _ and -, got "${name}"`,
  });
});

it("has the right types", () => {
  const schema = userSchema();
  expectTypeOf<ToolArguments<typeof schema>>().toEqualTypeOf<{ email: string; domain: string }>();
  const made = tool({
    name: "t",
    description: "",
    parameters: schema,
    jsonSchema,
    execute: async ({ email, domain }, { signal, callId, runtime }) => {
      expectTypeOf(email).toEqualTypeOf<string>();
      expectTypeOf(domain).toEqualTypeOf<string>();
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
      expectTypeOf(callId).toEqualTypeOf<string>();
      expectTypeOf(runtime).toEqualTypeOf<RuntimeScope | undefined>();
    },
  });
  expectTypeOf(made).toEqualTypeOf<Tool>();
  tool({
    name: "t",
    description: "",
    parameters: { type: "object" },
    execute: (args) => expectTypeOf(args).toEqualTypeOf<Record<string, unknown>>(),
  });
  const set = toolSet([made]);
  expectTypeOf(set.externalTools).toEqualTypeOf<RuntimeStartExternalToolsGroup[]>();
  expectTypeOf(set.handler).toExtend<AppServerExternalToolCallHandler>();
  // @ts-expect-error A tool needs a function.
  expect(() => tool({ name: "t", description: "", parameters: jsonSchema })).toThrow("execute");
});
