/** The programs in the shape of the documented interfaces, which run against the double as well (`snippets.test.ts`). */

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { compiled, ownCommand, run } from "../programs.js";
import { directive, LiveServer, TOKEN } from "./harness.js";

const live = LiveServer.forFile();
const PROGRAMS = fileURLToPath(new URL("../programs", import.meta.url));
const LETTA = fileURLToPath(new URL("../../../tests/live/letta.mjs", import.meta.url));

/** What the programs say that cannot be so here, and why: it is replaced in their text. */
const ELSEWHERE = {
  documented: {
    'agent_id: "agent-123"': {
      why: "the server gives its agents their ids itself",
      text: () => `create_agent: { body: { model: "${live.info.model}" }, pin_global: false }`,
    },
    "createAppServerClient({ url: String(process.env.LETTA_URL) })": {
      why: "the server of these tests wants a token",
      text: () =>
        `createAppServerClient({ url: String(process.env.LETTA_URL), authToken: "${TOKEN}" })`,
    },
  },
  layer: {
    'agentId: "agent-123"': {
      why: "the server gives its agents their ids itself",
      text: () => `createAgent: { body: { model: "${live.info.model}" }, pin_global: false }`,
    },
    "Run the tests": {
      why: "the scripted model wants to be told which tools to call",
      text: () => {
        const lookup = directive("lookup_user", { email: "a@b.c" });
        const bash = directive("Bash", { command: "touch made", description: "makes a file" });
        return `Run the tests ${lookup} ${bash} N=1`;
      },
    },
    "Worst bug?": {
      why: "the scripted model wants to be told what to hand in",
      text: () => `Worst bug? ${directive("submit_result", { file: "a.py", line: 6 })} N=1`,
    },
    "Long job": {
      why: "the scripted model would be done before it is stopped",
      text: () => "Long job N=2000 SLEEP=20",
    },
  },
};

/** Runs against the double alone. */
const ONLY_THE_DOUBLE = { "streams.ts": "it starts a double of its own" };

let folder: string;

beforeAll(async () => {
  const programs = Object.entries(ELSEWHERE).map(([name, places]): [string, string] => {
    let text = fs.readFileSync(path.join(PROGRAMS, `${name}.ts`), "utf8");
    for (const [said, other] of Object.entries(places)) {
      expect(text).toContain(said);
      text = text.replaceAll(said, other.text());
    }
    return [`${name}.ts`, text];
  });
  const names = [...programs.map(([name]) => name), ...Object.keys(ONLY_THE_DOUBLE)];
  expect(
    fs
      .readdirSync(PROGRAMS)
      .filter((name) => name.endsWith(".ts"))
      .sort(),
  ).toEqual(names.sort());
  folder = await compiled(Object.fromEntries(programs));
});

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

it("runs what is written for the documented client", async () => {
  const { stdout, stderr } = await run(folder, "documented", undefined, {
    LETTA_URL: live.info.url,
  });
  const lines = stdout.trim().split("\n");
  expect(lines.at(-1)).toMatch(/^end_turn tok0 tok1 {2}\d+$/);
  expect(lines).toContain("control runtime_start_response");
  expect(lines).toContain("control stream_delta");
  expect(stderr).toBe("");
});

it("runs the layer that people use, with a server of its own", async () => {
  const { stdout, stderr } = await run(folder, "layer", undefined, ownCommand(folder, LETTA));
  const lines = stdout.trimEnd().split("\n");
  expect(lines).toEqual([
    "-> lookup_user",
    '<- success {"id":7,"email":"a@b.c","late":false}',
    "-> Bash",
    "<- error no shell",
    "tok0 ",
    expect.stringMatching(/^tok0 {2}\d+ a\.py 7$/),
    "tok0 tok1 ",
    "aborted aborted",
    "true",
    "tok0 ",
    "AbortError true",
  ]);
  expect(stderr).toBe("");
});
