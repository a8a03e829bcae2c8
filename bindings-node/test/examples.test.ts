/** The programs in `examples/typescript`, each run as its reader would, against the server double. */

import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { MockServer, ScriptedTurn } from "@letta/app-client-native/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { rejection, startMock } from "./helpers.js";
import { compiled, exampleSources, run, start } from "./programs.js";

let folder: string;

beforeAll(async () => {
  folder = await compiled(exampleSources());
}, 120_000);

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

const tested = new Set<string>();

/** A test of one program. */
function example(name: string, test: (program: Program) => Promise<void>): void {
  tested.add(`${name}.ts`);
  it(name, () => test(new Program(name)));
}

class Program {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /** Runs it against a server with these turns. */
  async run(turns: ScriptedTurn[], env: Record<string, string> = {}) {
    const mock = await startMock(turns);
    const printed = await run(folder, this.name, mock, env);
    expect(mock.unexpected).toEqual([]);
    if (this.name !== "many_prompts") expect(printed.stderr).toBe("");
    return { mock, ...printed };
  }
}

/** What was said to the agents. */
const prompts = (mock: MockServer) =>
  mock.receivedOf("input").flatMap(({ payload }) => {
    const { messages = [] } = payload as { messages?: { content: unknown }[] };
    return messages.map(({ content }) => content);
  });

const PERMISSIONS: ScriptedTurn = {
  text: "done",
  toolCalls: [
    { name: "Read", input: { file_path: "a.py" } },
    { name: "Bash", input: { command: "pytest tests" }, needsApproval: true },
    { name: "Bash", input: { command: "pytest; git push" }, needsApproval: true },
    { name: "Write", input: { file_path: "b.py" }, needsApproval: true },
  ],
};

example("ask_once", async (program) => {
  const { mock, stdout } = await program.run([{ text: ["Ju", "piter."] }]);
  expect(stdout).toBe("Jupiter.\n[end_turn, 12 tokens]\n");
  expect(mock.receivedOf("runtime_start")).toMatchObject([
    { create_agent: { body: { name: "helper", model: "test/model" }, pin_global: false } },
  ]);
});

example("chat_loop", async (program) => {
  const turns = [{ text: ["Hel", "lo."] }, { text: "Half", error: "no credits" }, { text: "Bye." }];
  const { mock, stdout } = await program.run(turns, { stdin: "hello\n\nand now?\ngoodbye" });
  expect(stdout).toBe("Hello.\nHalf\n[failed: no credits]\nBye.\n[36 tokens in all]\n");
  expect(prompts(mock)).toEqual(["hello", "and now?", "goodbye"]);
});

example("stream_to_terminal", async (program) => {
  const call = { name: "Bash", input: { command: "ls" }, result: "a.py\n" };
  const turn = { text: ["One ", "file."], toolCalls: [call], reasoning: "hm" };
  expect((await program.run([turn])).stdout).toBe(
    "[Bash is called]\n[success: a.py]\nOne file.\n[completed, 4 tokens]\n",
  );
});

example("approve_interactively", async (program) => {
  const asked = [
    'Bash {"command":"pytest tests"}? [y/n] ',
    'Bash {"command":"pytest; git push"}? [y/n] ',
    'Write {"file_path":"b.py"}? [y/n] ',
  ].join("");
  const outcomes = async (stdin: string) => {
    const { stdout } = await program.run([PERMISSIONS], { stdin });
    expect(stdout.startsWith(asked)).toBe(true);
    return stdout.slice(asked.length).trim().split("\n");
  };
  expect(await outcomes("y\nno\nYES\n")).toEqual([
    ...["Read: success", "Bash: success", "Bash: error", "Write: success"],
    "done",
  ]);
  // Nobody answers the rest.
  expect(await outcomes("n\n")).toEqual([
    ...["Read: success", "Bash: error", "Bash: error", "Write: error"],
    "done",
  ]);
});

example("approve_by_policy", async (program) => {
  const { stdout } = await program.run([PERMISSIONS]);
  expect(stdout.trim().split("\n")).toEqual([
    "done",
    'Bash {"command":"pytest tests"}: allow',
    'Bash {"command":"pytest; git push"}: deny',
    'Write {"file_path":"b.py"}: deny',
  ]);
});

example("tool_from_function", async (program) => {
  const call = { name: "stock", input: { color: "red", atLeast: 20 }, needsApproval: true };
  const { mock, stdout } = await program.run([{ text: "Cherries.", toolCalls: [call] }]);
  expect(stdout).toBe("[stock: color=red, atLeast=20]\nCherries.\n");
  const [answer] = mock.receivedOf("external_tool_call_response");
  expect(JSON.stringify(answer)).toContain("cherry");
  expect(JSON.stringify(answer)).not.toContain("apple");
});

example("structured_output", async (program) => {
  const submit = (input: unknown): ScriptedTurn => ({
    text: "I am done.",
    toolCalls: [{ name: "submit_result", input, needsApproval: true }],
  });
  const good = { file: "a.py", line: 7, why: "it divides by zero" };
  expect((await program.run([submit(good)])).stdout).toBe("a.py:7: it divides by zero\n");
  const { mock, stdout } = await program.run([submit({ ...good, line: -1 })]);
  expect(stdout).toMatch(/^\[no usable answer: line: .*\]\nI am done\.\n$/);
  expect(prompts(mock)).toHaveLength(2);
});

example("many_prompts", async (program) => {
  const wanted = [1, 2, 3, 4, 5, 6].map((n) => `Describe the number ${n} in one sentence.`);
  const { mock, stdout, stderr } = await program.run([{ text: "It is one." }]);
  expect(stdout.trim().split("\n")).toEqual([
    ...wanted.map((prompt) => `${prompt} -> It is one.`),
    "[72 tokens in all]",
  ]);
  expect(stderr.trim().split("\n")).toEqual(wanted.map((_, index) => `${index + 1} of 6`));
  expect(prompts(mock).sort()).toEqual(wanted);
});

example("stop_after_a_limit", async (program) => {
  const hanging = { text: ["Once upon ", "a time"], hang: true };
  const { mock, stdout } = await program.run([hanging], { SECONDS: "2" });
  expect(stdout).toBe("[stopped after 2 s]\nOnce upon a time\n[0 tool calls]\n");
  mock.assertReceived("abort_message");
  expect((await program.run([{ text: "The end." }])).stdout).toBe("The end.\n");
});

example("watch_a_conversation", async (program) => {
  const turn = { text: ["Hel", "lo."], toolCalls: [{ name: "Read" }] };
  expect((await program.run([turn])).stdout).toBe("Hello.\n[end_turn]\n");
});

example("web_endpoint", async ({ name }) => {
  const mock = await startMock([
    { text: ["Grüß ", "Gott"] },
    { text: "half", error: "no credits" },
    { text: Array.from({ length: 2000 }, () => "on and on "), delayMs: 10 },
    { text: [], hang: true },
  ]);
  const endpoint = start(folder, name, { LETTA_URL: mock.url, PORT: "0" });
  let stderr = "";
  endpoint.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const lines = createInterface({ input: endpoint.stdout })[Symbol.asyncIterator]();
  const [, url] = /^ready: (.*)$/.exec((await lines.next()).value ?? "") ?? [];
  if (url === undefined) throw new Error(`not ready: ${stderr}`);
  const said = await fetch(`${url}?q=say%20hello`);
  expect(said.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  expect(await said.text()).toBe("Grüß Gott");
  // What is not a whole answer cannot be taken for one.
  expect(
    await rejection(fetch(`${url}?q=more`).then((response) => response.text())),
  ).toBeInstanceOf(Error);
  expect((await lines.next()).value).toBe("a request failed: the turn is failed");
  expect((await fetch(url)).status).toBe(400);
  // A reader who goes away stops the turn.
  const request = http.get(`${url}?q=on`);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  await once(response, "data");
  request.on("error", () => {});
  request.destroy();
  expect(await mock.waitReceived("abort_message")).toBe(true);
  expect((await lines.next()).value).toMatch(/^a request failed: /);
  // ... also while the agent says nothing.
  const silent = http.get(`${url}?q=and`);
  silent.on("error", () => {});
  expect(await mock.waitReceived("input", 4)).toBe(true);
  silent.destroy();
  expect(await mock.waitReceived("abort_message", 2)).toBe(true);
  expect((await lines.next()).value).toMatch(/^a request failed: /);
  expect(prompts(mock)).toEqual(["say hello", "more", "on", "and"]);
  endpoint.kill("SIGTERM");
  expect(await once(endpoint, "exit")).toEqual([0, null]);
  expect(stderr).toBe("");
});

example("own_server", async ({ name }) => {
  const standIn = fileURLToPath(new URL("programs/server.mjs", import.meta.url));
  const { stdout } = await run(folder, name, undefined, {
    LETTA_COMMAND: `${process.execPath} ${standIn}`,
  });
  expect(stdout).toMatch(/^\[ws:\/\/127\.0\.0\.1:\d+, started\]\na\.py\n$/);
});

it("runs every program", () => {
  expect(Object.keys(exampleSources()).sort()).toEqual([...tested].sort());
  expect(tested.size).toBeGreaterThanOrEqual(12);
});
