import {
  AbortError,
  type AppServerClient,
  type ExternalToolAnswer,
} from "@letta/app-client-native";
import { expect, it } from "vitest";
import { connected, rejection, say, startMock, thrown } from "./helpers.js";

const tools = [{ name: "lookup", description: "Looks up", parameters: { type: "object" } }];

async function toolTurn(
  handler: Parameters<AppServerClient["onExternalToolCall"]>[0],
  options: Parameters<typeof connected>[1] = {},
) {
  const mock = await startMock([
    { text: "done", toolCalls: [{ name: "lookup", input: { id: 7 } }] },
  ]);
  const client = await connected(mock, options);
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
  const answers = mock.receivedOf("external_tool_call_response");
  return { answers, result, stats: client.stats };
}

it.each<[string, ExternalToolAnswer, string]>([
  ["a text", "found", "found"],
  ["an object", { id: 7 }, '{"id":7}'],
  ["bytes", new TextEncoder().encode("found"), "found"],
])("takes what the function of a tool may return: %s", async (_, value, text) => {
  const { answers, stats } = await toolTurn(async () => value);
  expect(answers).toMatchObject([{ result: { content: [{ type: "text", text }] } }]);
  expect(stats.handlerErrors).toBe(0);
});

it("counts an error that is returned, and no result that says it is one", async () => {
  const returned = await toolTurn(() => new Error("no luck"));
  expect(returned.answers).toMatchObject([
    { result: { content: [{ text: "no luck" }], is_error: true } },
  ]);
  expect(returned.stats.handlerErrors).toBe(1);
  const said = await toolTurn(() => ({
    content: [{ type: "text", text: "no luck" }],
    is_error: true,
  }));
  expect(said.stats.handlerErrors).toBe(0);
});

it("refuses names of tools that are none", async () => {
  const client = await connected(await startMock());
  const runtime = { agent_id: "a", conversation_id: "c" };
  for (const names of ["lookup", [5], {}] as never[]) {
    const failure = thrown(() => client.onExternalToolCall(() => "x", { runtime, names }));
    expect(failure).toMatchObject({
      code: "invalid_option",
      message: expect.stringContaining("names: expected a list of names of tools, got"),
    });
  }
});

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
  ["null", () => null as never, "returned nothing"],
  ["what has no JSON", () => new Map([[1, 2]]), "returned a Map, which cannot be written as JSON"],
])("turns %s into an error of the tool, and counts it", async (_, handler, words) => {
  const { answers, result, stats } = await toolTurn(handler);
  expect(stats.handlerErrors).toBe(1);
  expect(answers).toHaveLength(1);
  expect(answers[0]?.error).toContain(words);
  expect(result.status).toBe("completed");
});

it("counts a result that is too large, of which the model gets an error", async () => {
  const { answers, stats } = await toolTurn(() => "x".repeat(5000), { maxMessageBytes: 4096 });
  expect(answers[0]?.error).toContain("the tool's result is too large");
  expect(stats.handlerErrors).toBe(1);
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

/** A runtime whose turn calls tools, and who waits for the calls. */
async function calling(count: number, options: object = {}) {
  const toolCalls = Array.from({ length: count }, () => ({ name: "lookup" }));
  const mock = await startMock([{ text: "done", toolCalls }]);
  const client = await connected(mock, options);
  const { runtime } = await client.runtimeStart({
    agent_id: "a",
    mode: "unrestricted",
    external_tools: [{ tools }],
  });
  if (!runtime) throw new Error("no runtime");
  return { mock, client, runtime };
}

/** A handler that never answers by itself; resolves with its signal's reason. */
function hanging(client: AppServerClient) {
  let called = () => {};
  const begun = new Promise<void>((resolve) => {
    called = resolve;
  });
  const over = new Promise<unknown>((resolve) => {
    client.onExternalToolCall(
      (_, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            reject(signal.reason);
            resolve(signal.reason);
          });
          called();
        }),
    );
  });
  return { begun, over };
}

it("cancels a tool whose turn is aborted", async () => {
  const { mock, client, runtime } = await calling(1);
  const { begun, over } = hanging(client);
  const turn = client.sendTurn({ runtime, payload: say("?") });
  await begun;
  expect(await turn.abort()).toMatchObject({ status: "aborted" });
  const reason = await over;
  expect(reason).toBeInstanceOf(AbortError);
  expect(reason).toMatchObject({ name: "AbortError", cause: expect.any(String) });
  // Whatever the handler caused to be sent was sent before the answer to this.
  await client.sync({ runtime });
  const answers = mock.receivedOf("external_tool_call_response");
  expect(answers.filter(({ error }) => error === (reason as Error).message)).toEqual([]);
});

it("cancels a tool that takes too long, and tells the agent", async () => {
  const { mock, client, runtime } = await calling(1, { externalToolTimeoutMs: 50 });
  const { over } = hanging(client);
  const result = await client.runTurn({ runtime, payload: say("?") });
  expect(await over).toMatchObject({ cause: "the tool did not answer within 0.05 s" });
  expect(result.toolCalls).toMatchObject([{ status: "error" }]);
  mock.assertReceived("external_tool_call_response", { times: 1 });
});

it("cancels a tool when the connection ends", async () => {
  const { mock, client, runtime } = await calling(1);
  const { begun, over } = hanging(client);
  const turn = rejection(client.runTurn({ runtime, payload: say("?") }));
  await begun;
  mock.cutConnections();
  expect(await over).toMatchObject({ cause: "the connection has ended" });
  expect(await turn).toMatchObject({ code: "turn_interrupted" });
});

it("runs no more tools at once than it may", async () => {
  const mock = await startMock([{ text: "done", toolCalls: [{ name: "lookup" }] }]);
  const client = await connected(mock, { externalToolConcurrency: 1 });
  let [atWork, most] = [0, 0];
  client.onExternalToolCall(async () => {
    atWork += 1;
    most = Math.max(most, atWork);
    await client.info();
    atWork -= 1;
    return { content: [{ type: "text", text: "found" }] };
  });
  const runtimes = await Promise.all(
    ["a", "b", "c"].map((agent_id) =>
      client.runtimeStart({ agent_id, mode: "unrestricted", external_tools: [{ tools }] }),
    ),
  );
  const results = await Promise.all(
    runtimes.map(({ runtime }) => {
      if (!runtime) throw new Error("no runtime");
      return client.runTurn({ runtime, payload: say("?") });
    }),
  );
  expect(results.map(({ status }) => status)).toEqual(["completed", "completed", "completed"]);
  expect(most).toBe(1);
});

it("sends the first answer of several handlers only", async () => {
  const { mock, client, runtime } = await calling(1);
  client.onExternalToolCall(async () => {
    await client.info();
    throw new Error("second");
  });
  client.onExternalToolCall(() => ({ content: [{ type: "text", text: "first" }] }));
  const result = await client.runTurn({ runtime, payload: say("?") });
  await client.info();
  expect(result.toolCalls).toMatchObject([{ output: "first" }]);
  mock.assertReceived("external_tool_call_response", { times: 1 });
});
