/** External tools: they run here, whatever becomes of them. */

import type { AppServerExternalToolCallHandler } from "@letta/app-client-native";
import { expect, it, onTestFinished } from "vitest";
import { say } from "../helpers.js";
import { directive, LiveServer, within } from "./harness.js";

const live = LiveServer.forFile();
const parameters = { type: "object", properties: { city: { type: "string" } } };
const tools = [{ name: "weather", description: "The weather of a city", parameters }];
const payload = say(`${directive("weather", { city: "Rome" })} N=2`);

/** A runtime with the tool, and who runs it. */
async function serving(handler: AppServerExternalToolCallHandler) {
  onTestFinished(live.client.onExternalToolCall(handler));
  return live.newRuntime({ mode: "unrestricted", external_tools: [{ tools }] });
}

it.each<[string, AppServerExternalToolCallHandler, object]>([
  [
    "succeeds",
    async ({ tool_name, input }) => ({
      content: [{ type: "text", text: `${tool_name} of ${JSON.stringify(input)}` }],
    }),
    { status: "success", output: expect.stringContaining('weather of {"city":"Rome"}') },
  ],
  [
    "throws",
    () => {
      throw new Error("no such city");
    },
    { status: "error", output: expect.stringContaining("no such city") },
  ],
  [
    "says that it failed",
    () => ({ content: [{ type: "text", text: "sold out" }], is_error: true }),
    { status: "error", output: expect.stringContaining("sold out") },
  ],
])("one that %s", async (_, handler, outcome) => {
  const runtime = await serving(handler);
  const result = await live.client.runTurn({ runtime, payload });
  expect(result).toMatchObject({ status: "completed", text: "tok0 tok1 " });
  expect(result.toolCalls).toMatchObject([{ name: "weather", ...outcome }]);
});

it("one that was cut within a character, like the prompt", async () => {
  const half = "abc😀".slice(0, 4);
  const runtime = await serving(() => ({ content: [{ type: "text", text: half }] }));
  const prompt = say(`${half} ${directive("weather", { city: half })} N=1`);
  const result = await live.client.runTurn({ runtime, payload: prompt });
  expect(result).toMatchObject({ status: "completed", text: "tok0 " });
  expect(result.toolCalls).toMatchObject([{ status: "success" }]);
  expect(result.toolCalls[0]?.output).toContain("abc");
});

it("one whose turn is aborted while it runs", async () => {
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  let aborted = (_: unknown) => {};
  const over = new Promise<unknown>((resolve) => {
    aborted = resolve;
  });
  const runtime = await serving(
    (_, { signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          aborted(signal.reason);
          reject(signal.reason);
        });
        begin();
      }),
  );
  const turn = live.client.sendTurn({ runtime, payload });
  await begun;
  // The server ends such a turn only once the tool has answered: the client answers for it.
  const result = await turn.abort();
  expect(result).toMatchObject({ status: "aborted", completedBy: "turn_finished" });
  expect(await within(3_000, over)).toMatchObject({ name: "AbortError" });
  // And nothing is left in the way of the next one.
  const next = live.client.runTurn({ runtime, payload: say("N=1") });
  expect(await within(10_000, next)).toMatchObject({ status: "completed", text: "tok0 " });
});
