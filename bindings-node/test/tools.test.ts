import type { AppServerClient } from "@letta/app-client-native";
import { expect, it } from "vitest";
import { connected, say, startMock } from "./helpers.js";

const tools = [{ name: "lookup", description: "Looks up", parameters: { type: "object" } }];

async function toolTurn(handler: Parameters<AppServerClient["onExternalToolCall"]>[0]) {
  const mock = await startMock([
    { text: "done", toolCalls: [{ name: "lookup", input: { id: 7 } }] },
  ]);
  const client = await connected(mock);
  const off = client.onExternalToolCall(handler);
  const external_tools = [{ tools }];
  const { runtime } = await client.runtimeStart({
    agent_id: "a",
    mode: "unrestricted",
    external_tools,
  });
  if (!runtime) throw new Error("no runtime");
  const result = await client.runTurn({ runtime, payload: say("?") });
  off();
  return { answers: mock.receivedOf("external_tool_call_response"), result };
}

it("runs external tools", async () => {
  const { answers, result } = await toolTurn(async (request) => {
    expect(request).toMatchObject({ tool_name: "lookup", input: { id: 7 } });
    return { content: [{ type: "text", text: "found" }] };
  });
  expect(answers).toMatchObject([{ result: { content: [{ type: "text", text: "found" }] } }]);
  expect(result).toMatchObject({
    text: "done",
    toolCalls: [{ output: "found", status: "success" }],
  });
});

it.each([
  ["an exception", () => Promise.reject(new Error("no luck")), "no luck"],
  [
    "a plain throw",
    () => {
      throw "thrown text";
    },
    "thrown text",
  ],
  ["a throw without a text", () => Promise.reject(Object.create(null)), "without a text"],
  ["no result", () => undefined as never, "returned nothing"],
  ["a result of another form", () => ({ content: "text" }) as never, "content"],
])("turns %s into an error of the tool", async (_, handler, words) => {
  const { answers, result } = await toolTurn(handler);
  expect(answers).toHaveLength(1);
  expect(answers[0]?.error).toContain(words);
  expect(result.status).toBe("completed");
});

it("runs a tool handler that registers itself again only once for each call", async () => {
  const mock = await startMock([{ text: "done", toolCalls: [{ name: "lookup" }] }]);
  const client = await connected(mock);
  let calls = 0;
  const arm = () => {
    const off = client.onExternalToolCall(() => {
      calls += 1;
      off();
      if (calls < 100) arm();
      return { content: [{ type: "text", text: "found" }] };
    });
  };
  arm();
  const started = await client.runtimeStart({
    agent_id: "a",
    mode: "unrestricted",
    external_tools: [{ tools }],
  });
  if (!started.runtime) throw new Error("no runtime");
  const result = await client.runTurn({ runtime: started.runtime, payload: say("?") });
  expect(result.status).toBe("completed");
  expect(calls).toBe(1);
});
