import { type ToolContext, tool, toolSet } from "@letta/app-client-native";
import { describe, expect, it } from "vitest";
import { thrown } from "./helpers.js";
import { failure, jsonSchema, plain, runtime, text } from "./tooling.js";

describe("a set of tools", () => {
  const named = (name: string, execute: () => unknown = () => name) =>
    tool({ name, description: "", parameters: jsonSchema, execute });

  it("is a group, with a scope where one is wanted", () => {
    const [a, b] = [named("a"), named("b")];
    const tools = [a.definition, b.definition];
    expect(toolSet([a, b]).externalTools).toEqual([{ tools }]);
    expect(toolSet([a, b], { scopeId: "s" }).externalTools).toEqual([{ scope_id: "s", tools }]);
    expect(toolSet([a, b]).tools).toEqual([a, b]);
  });

  it("is no group without tools", () => {
    expect(toolSet([]).externalTools).toEqual([]);
  });

  it("calls the tool that is meant", async () => {
    const { handler } = toolSet([
      named("a"),
      named("b", () => {
        throw new Error("no luck");
      }),
    ]);
    const { signal } = new AbortController();
    const call = (tool_name: string) =>
      handler(
        {
          type: "external_tool_call_request",
          request_id: "external-tool-1",
          tool_call_id: "call_1",
          tool_name,
          input: {},
        },
        { signal },
      );
    expect(await call("a")).toEqual(text("a"));
    expect(await call("b")).toEqual(failure("no luck"));
    expect(await call("toString")).toEqual(
      failure("there is no tool toString here; the tools are: a, b"),
    );
  });

  it("names a tool whose name is none", () => {
    const { definition, call } = named("a");
    const byHand = { name: "a b", definition: { ...definition, name: "a b" }, call };
    expect(thrown(() => toolSet([byHand]))).toMatchObject({
      code: "invalid_option",
      message:
        'tools: expected a tool name of 1 to 64 characters from A-Z, a-z, 0-9, _ and -, got "a b"',
    });
    expect(named("a-Z_0".padEnd(64, "x")).name).toHaveLength(64);
  });

  it("gives a tool its call and its runtime", async () => {
    let got: ToolContext | undefined;
    const { handler } = toolSet([
      plain((_, context) => {
        got = context;
      }),
    ]);
    const { signal } = new AbortController();
    const request_id = "external-tool-1";
    await handler(
      {
        type: "external_tool_call_request",
        request_id,
        tool_call_id: "call_1",
        tool_name: "plain",
        input: {},
        runtime,
      },
      { signal },
    );
    expect(got).toEqual({ signal, callId: "call_1", runtime });
    expect(got?.signal).toBe(signal);
  });

  it.each<[string, () => unknown, string]>([
    ["a name twice", () => toolSet([named("a"), named("a")]), "tools: two have the name a"],
    ["no list", () => toolSet(named("a") as never), "tools: expected a list"],
    ["no tool", () => toolSet([{ name: "a" } as never]), "tools: expected what tool(…) makes"],
    ["nothing", () => toolSet([undefined as never]), "tools: expected what tool(…) makes"],
    ["no scope", () => toolSet([], { scopeId: 3 as never }), "scopeId: expected a string, got 3"],
  ])("is refused with %s", (_, make, words) => {
    expect(thrown(make)).toMatchObject({
      code: "invalid_option",
      message: expect.stringContaining(words),
    });
  });
});
