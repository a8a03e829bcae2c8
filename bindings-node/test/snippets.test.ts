/** Programs in the shape of the documented interfaces, compiled and run as a reader's would be. */

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startMock } from "./helpers.js";
import { compiled, ownServer, run } from "./programs.js";

const PROGRAMS = fileURLToPath(new URL("programs", import.meta.url));
let folder: string;

beforeAll(async () => {
  const names = fs.readdirSync(PROGRAMS).filter((name) => name.endsWith(".ts"));
  expect(names.sort()).toEqual(["documented.ts", "layer.ts", "streams.ts"]);
  const read = (name: string) => fs.readFileSync(path.join(PROGRAMS, name), "utf8");
  folder = await compiled(Object.fromEntries(names.map((name) => [name, read(name)])));
}, 120_000);

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

it("runs what is written for the documented client", async () => {
  const mock = await startMock([{ text: "Hello." }]);
  const { stdout, stderr } = await run(folder, "documented", mock);
  const lines = stdout.trim().split("\n");
  expect(lines.at(-1)).toBe("end_turn Hello. 12");
  expect(lines[0]).toBe("control runtime_start_response");
  expect(lines).toContain("control stream_delta");
  expect(stderr).toBe("");
  expect(mock.unexpected).toEqual([]);
});

it("runs the layer that people use", async () => {
  const hanging = { text: "going on", hang: true };
  const turns = [
    {
      text: "All green.",
      toolCalls: [
        { name: "lookup_user", input: { email: "a@b.c" }, needsApproval: true },
        { name: "Bash", input: { command: "make test" }, needsApproval: true },
      ],
    },
    {
      text: "Found.",
      toolCalls: [{ name: "submit_result", input: { file: "a.py", line: 6 }, needsApproval: true }],
    },
    { text: ["It ", "divides."] },
    hanging,
  ];
  const { stdout, stderr } = await run(folder, "layer", undefined, ownServer(folder, turns));
  expect(stdout.trim().split("\n")).toEqual([
    "-> lookup_user",
    "-> Bash",
    '<- success {"id":7,"email":"a@b.c","late":false}',
    "<- error no shell",
    "All green.",
    "Found. 24 a.py 7",
    "It divides.",
    "aborted aborted",
    "true",
    "going on",
    "AbortError true",
  ]);
  expect(stderr).toBe("");
});

it("runs streams against a double of the program's own", async () => {
  const { stdout, stderr } = await run(folder, "streams", undefined);
  expect([stdout, stderr]).toEqual(["42\n42\n", ""]);
});
