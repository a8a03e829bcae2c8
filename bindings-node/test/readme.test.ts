/** The code of `README.md`, each block compiled and run as the program it is a part of. */

import fs from "node:fs";
import type { MockServer, ScriptedTurn, ScriptOptions } from "@letta/app-client-native/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startMock } from "./helpers.js";
import { compiled, ownServer, run } from "./programs.js";

const README = fs.readFileSync(new URL("../README.md", import.meta.url), "utf8");
const BLOCKS = Array.from(README.matchAll(/^```ts\n(.*?)^```$/gms), ([, code = ""]) => code);

/** What a reader has written before a block, and what the block does then. */
interface Case {
  /** Words that only this block has. */
  about: string;
  /** The code before it, from these parts. */
  before?: (keyof typeof PARTS)[];
  /** What the server does. */
  script?: ScriptOptions | ScriptedTurn[];
  /** Plays the server where a script cannot. */
  serve?: (mock: MockServer) => Promise<void>;
  /** What it prints. */
  prints: string | RegExp;
  /** What the server has got besides. */
  sends?: Record<string, object[]>;
}

/** Parts of programs. */
const PARTS = {
  imports: 'import { connect, gather, map, policy } from "@letta/app-client-native";',
  tools: `
    import { audit, deny, tool, toolSet } from "@letta/app-client-native";
    import { z } from "zod";`,
  zod: 'import { z } from "zod";',
  client: 'const client = await connect("ws://127.0.0.1:4500");',
  runtime: `
    const { runtime } = await client.runtimeStart({ agent_id: "agent-123", mode: "standard" });
    if (!runtime) throw new Error("no runtime");`,
  payload: `
    import type { InputCreateMessagePayload } from "@letta/app-client-native";
    const payload: InputCreateMessagePayload = {
      kind: "create_message",
      messages: [{ role: "user", content: "Hi" }],
    };`,
  session: 'const session = await client.session({ agentId: "agent-123" });',
  signal: "const { signal } = new AbortController();",
  // What the start brings is over; the block listens when the next question comes, until the test ends it.
  end: `
    await client.info();
    setImmediate(() => void client.info());
    client.onMessage(() => void client.close(), { types: ["end_of_test"] });`,
} as const;

const asking = (name: string, input: object) => ({ name, input, needsApproval: true });

const CASES: Case[] = [
  {
    about: "authToken",
    script: { token: "secret", turns: [{ text: "Hello." }] },
    prints: /^completed Hello\. \{\n {2}promptTokens: 10,/,
  },
  {
    about: "session.fork()",
    before: ["imports", "client"],
    script: {
      answers: { conversation_fork: { conversation: { id: "conv-2" } } },
      directories: ["/project"],
    },
    prints: "",
    sends: { runtime_start: [{ cwd: "/project" }, { conversation_id: "conv-2" }] },
  },
  { about: "spawnAppServer()", prints: "" },
  {
    about: "client.sendTurn(",
    before: ["imports", "client", "runtime", "payload"],
    script: [{ text: ["4", "2"], toolCalls: [asking("Bash", { command: "ls" })] }],
    prints: /^-> Bash\n42\[\n(.*\n)* {4}type: 'assistant',/,
  },
  {
    about: "toolSet([lookup])",
    before: ["imports", "tools", "client", "payload"],
    script: [
      {
        toolCalls: [
          asking("lookup_user", { email: "a@b.c" }),
          asking("Bash", { command: "pytest tests" }),
          asking("Write", { path: "a.py" }),
        ],
      },
    ],
    prints: /lookup_user(.*\n)+.*Bash(.*\n)+.*Write/,
    sends: {
      external_tool_call_response: [
        { result: { content: [{ text: '{"id":7,"email":"a@b.c"}' }] } },
      ],
      input: [
        { payload: { kind: "create_message" } },
        { payload: { decision: { behavior: "allow" } } },
        { payload: { decision: { behavior: "allow" } } },
        { payload: { decision: { message: "nobody is here to decide on Write" } } },
      ],
    },
  },
  {
    about: "outputSchema",
    before: ["imports", "zod", "client", "session"],
    script: [{ toolCalls: [asking("submit_result", { file: "a.py", line: 7 })] }],
    prints: "a.py:7\n",
  },
  {
    about: "await map(",
    before: ["imports", "client"],
    script: [{ text: "yes" }],
    prints: "a yes\nb yes\nc yes\n36\n",
  },
  {
    about: "await gather(",
    before: ["imports", "client", "session"],
    script: [{ text: "yes" }],
    prints: "Check the tests. yes\nCheck the docs. yes\n",
  },
  {
    about: "client.models.list(",
    before: ["imports", "client", "signal"],
    script: {
      answers: {
        list_models: { entries: [] },
        agent_create: { agent: { id: "agent-9" } },
        read_file: { content: "# Project", path: "/project/README.md" },
        cron_list: { tasks: [] },
      },
    },
    prints: "",
    sends: {
      list_models: [{ force: true }],
      agent_create: [{ body: { name: "scribe", model: "openai/gpt-5" } }],
      read_file: [{ path: "/project/README.md" }],
      cron_list: [{ agent_id: "agent-123" }],
    },
  },
  {
    about: "client.terminals.open(",
    before: ["imports", "client", "signal"],
    script: {
      answers: {
        list_in_directory: { path: "/project", folders: ["src"], files: ["a.py"], hasMore: false },
        conversation_messages_list: { messages: [{ id: "m-1" }], has_more: false },
        cron_runs: {
          page: {
            ...{ entries: [{ jobId: "j", ts: 1, action: "finished", status: "ok" }] },
            ...{ total: 1, offset: 0, limit: 50, hasMore: false, nextOffset: null },
          },
        },
        agent_list: { agents: [{ id: "agent-1", name: "scribe" }] },
      },
    },
    serve: async (mock) => {
      expect(await mock.waitReceived("terminal_spawn")).toBe(true);
      const terminal_id = mock.receivedOf("terminal_spawn")[0]?.terminal_id;
      mock.push({ type: "terminal_spawned", terminal_id, pid: 42 });
      expect(await mock.waitReceived("terminal_input")).toBe(true);
      mock.push({ type: "terminal_output", terminal_id, data: "all green\n" });
      mock.push({ type: "terminal_exited", terminal_id, exitCode: 0 });
      expect(await mock.waitReceived("watch_file")).toBe(true);
      mock.push({ type: "file_changed", path: "/project/notes.md", lastModified: 1234 });
    },
    prints: "all green\n0\n1234\nfolder src\nfile a.py\n{ id: 'm-1' }\nok\nscribe\n",
    sends: { unwatch_file: [{ path: "/project/notes.md" }] },
  },
  {
    about: "client.onMessage(",
    before: ["imports", "client", "runtime", "signal", "end"],
    serve: async (mock) => {
      expect(await mock.waitReceived("app_server_info", 2)).toBe(true);
      const runtime = { agent_id: "agent-123", conversation_id: "local-conv-1" };
      const other = { agent_id: "agent-123", conversation_id: "another" };
      mock.push({ type: "turn_finished", runtime, stop_reason: "end_turn" });
      for (const [at, mode] of [
        [other, "strict"],
        [runtime, "acceptEdits"],
      ] as const) {
        const device_status = { current_permission_mode: mode };
        mock.push({ type: "update_device_status", runtime: at, device_status });
      }
      mock.push({ type: "end_of_test" });
    },
    prints: "end_turn\nacceptEdits\n0\n",
  },
];

let folder: string;

/** The program around a block, for a server whose address only the test knows. */
function program(code: string, { before = [] }: Case): string {
  return `${[...before.map((name) => PARTS[name]), code].join("\n")}\nexport {};\n`
    .replaceAll('"ws://127.0.0.1:4500"', "String(process.env.LETTA_URL)")
    .replaceAll('"…"', "String(process.env.TOKEN)");
}

const nameOf = (index: number) => `block${index}`;

beforeAll(async () => {
  const sources = CASES.map((each, index) => [
    `${nameOf(index)}.ts`,
    program(BLOCKS.find((code) => code.includes(each.about)) ?? "", each),
  ]);
  folder = await compiled(Object.fromEntries(sources));
}, 120_000);

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

it.each(CASES.map((each, index) => ({ ...each, index })))("runs $about", async (each) => {
  const mock = await startMock(each.script);
  const own = each.about === "spawnAppServer()" ? ownServer(folder, []) : {};
  const running = run(folder, nameOf(each.index), mock, { TOKEN: "secret", ...own });
  await Promise.all([running, each.serve?.(mock)]);
  const { stdout, stderr } = await running;
  expect(stderr).toBe("");
  if (!each.serve) expect(mock.unexpected).toEqual([]);
  if (typeof each.prints === "string") expect(stdout).toBe(each.prints);
  else expect(stdout).toMatch(each.prints);
  for (const [type, frames] of Object.entries(each.sends ?? {})) {
    expect(mock.receivedOf(type)).toMatchObject(frames);
  }
});

it("has one case for each block", () => {
  const found = CASES.map(({ about }) => BLOCKS.filter((code) => code.includes(about)));
  expect(found.map((blocks) => blocks.length)).toEqual(CASES.map(() => 1));
  expect(found.flat()).toEqual(BLOCKS);
});
