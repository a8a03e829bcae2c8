/** Clients in worker threads that end in the middle of a turn, and in processes that do. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { startMock } from "./helpers.js";

const program = fileURLToPath(new URL("lifecycle/workers.mjs", import.meta.url));
const TIMES = 2;
/** Pieces come for as long as the worker lives. */
const flood = { text: Array.from({ length: 20_000 }, () => "x"), delayMs: 1 };

/** Runs the program; what it is told to wait for happens at its `alone`. */
async function run(url: string, way: string, alone: () => Promise<unknown>) {
  const child = spawn(process.execPath, [program, url, way]);
  const lines: string[] = [];
  let stderr = "";
  let failure: unknown;
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const reader = createInterface({ input: child.stdout });
  reader.on("line", (line) => {
    lines.push(line);
    if (line !== "alone") return;
    alone().then(
      () => child.stdin.write("seen\n"),
      (error) => {
        failure = error;
        child.kill();
      },
    );
  });
  const [code, signal] = await once(child, "close");
  if (failure) throw failure;
  return { lines, code, signal, stderr };
}

describe("a client per worker, ended in the middle of a turn", { timeout: 60_000 }, () => {
  it.each([
    // A terminated thread ends with 1, one that fails says why, one that exits says with what.
    ["terminated", ["ready", "1,1,1,1", "alone"]],
    ["workers exit", ["ready", "0,0,0,0", "alone"]],
    ["workers throw", ["ready", Array(4).fill("on purpose").join(), "alone"]],
    ["exit", ["ready"]],
    ["terminated while exiting", ["ready"]],
  ])("%s", async (way, lines) => {
    for (let time = 0; time < TIMES; time += 1) {
      const mock = await startMock([flood]);
      // The threads' connections are closed while their process lives.
      const seen = () => expect.poll(() => mock.openConnections, { timeout: 10_000 }).toBe(1);
      const ended = await run(mock.url, way, seen);
      expect(ended).toEqual({ lines, code: 0, signal: null, stderr: "" });
      await expect.poll(() => mock.openConnections, { timeout: 10_000 }).toBe(0);
    }
  });
});
