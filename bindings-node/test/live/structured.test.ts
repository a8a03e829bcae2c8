/** Results of a form, and many prompts: a real server offers the tool, asks for it, and forgets it. */

import { map, tool } from "@letta/app-client-native";
import { expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { rejection } from "../helpers.js";
import { directive, LiveServer } from "./harness.js";

const live = LiveServer.forFile();
const finding = z.object({ file: z.string(), line: z.number() });
const submit = (input: object) => directive("submit_result", input);
const good = { file: "a.py", line: 7 };

const weather = tool({
  name: "weather",
  description: "The weather of a city",
  parameters: { type: "object", properties: {} },
  execute: () => "sunny",
});

const session = () =>
  live.client.session({
    createAgent: { body: { model: live.info.model }, pin_global: false },
    cwd: live.info.cwd,
    tools: [weather],
  });

it("is handed in, without a permission, beside the tools of the session", async () => {
  const refused = [{ file: "a.py" }, { file: "a.py", line: "7" }].map(submit).join(" ");
  const prompt = `${refused} ${submit(good)} ${directive("weather", {})} N=2`;
  const started = await session();
  const { output, toolCalls, text } = await started.run(prompt, { outputSchema: finding });
  expect({ output, text }).toEqual({ output: good, text: "tok0 tok1 " });
  expect(toolCalls).toMatchObject([
    // What is missing the server sees itself; the rest the schema does.
    { name: "submit_result", status: "error", output: expect.stringContaining("line") },
    { name: "submit_result", status: "error", output: expect.stringContaining("- line: ") },
    { name: "submit_result", status: "success" },
    { name: "weather", status: "success", output: expect.stringContaining("sunny") },
  ]);
  // It is gone again, and the other one is not.
  const after = await started.run(`${submit(good)} ${directive("weather", {})} N=1`);
  expect(after.toolCalls).toMatchObject([
    { name: "submit_result", status: "error" },
    { name: "weather", status: "success" },
  ]);
});

it("has null for a field that may be null, also where that is left out", async () => {
  const started = await session();
  const nullable = z.object({ file: z.string(), line: z.number().nullable() });
  for (const given of [{ file: "a.py", line: null }, { file: "a.py" }]) {
    const { output } = await started.run(`${submit(given)} N=1`, { outputSchema: nullable });
    expect(output).toEqual({ file: "a.py", line: null });
  }
});

it("is told why the server refused it", async () => {
  const started = await session();
  const said: unknown[] = [];
  onTestFinished(
    live.client.onSend((command) => {
      if (command.type === "input") said.push(command.payload);
    }),
  );
  const lacking = `${submit({ line: 7 })} N=1`;
  const error = await rejection(started.run(lacking, { outputSchema: finding }));
  // The model submits nothing in answer to the repair.
  const refusal = "submit_result tool missing required parameter: file. Received parameters: line";
  expect(error).toMatchObject({ code: "structured_output", errors: [refusal] });
  expect(said.at(-1)).toMatchObject({
    messages: [
      { content: expect.stringContaining(`The result you submitted was refused: ${refusal}`) },
    ],
  });
});

it("is asked for once more, and then given up", async () => {
  const started = await session();
  const error = await rejection(started.run("N=2", { outputSchema: finding }));
  expect(error).toMatchObject({
    code: "structured_output",
    errors: [],
    result: { status: "completed" },
  });
  expect(started.usage.promptTokens).toBeGreaterThanOrEqual(20);
});

it("comes from many conversations at once", async () => {
  const [first, second] = await Promise.all([session(), session()]);
  const lines = [1, 2, 3, 4, 5];
  const { items, usage } = await map(
    live.client,
    lines.map((line) => submit({ file: "a.py", line })),
    { agents: [first.agentId, second.agentId], limit: 3, outputSchema: finding },
  );
  expect(items.map(({ result }) => result?.output.line)).toEqual(lines);
  expect(usage.promptTokens).toBeGreaterThanOrEqual(5 * 20);
});
