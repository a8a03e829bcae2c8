import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { startMock } from "./helpers.js";

const child = new URL("lifecycle/child.mjs", import.meta.url);
/** The ways in which the program ends, each with what it says at its end. */
const WAYS: Record<string, string> = JSON.parse(
  fs.readFileSync(new URL("lifecycle/ways.json", import.meta.url), "utf8"),
);
const names = Object.keys(WAYS);
const ways = [...names, ...names];
const TIMES = ways.length;

/** Runs jobs, a few at a time. */
async function each<T>(
  items: string[],
  atOnce: number,
  job: (item: string) => Promise<T>,
): Promise<T[]> {
  const left = [...items.entries()];
  const results: T[] = [];
  const worker = async () => {
    for (let next = left.shift(); next; next = left.shift()) results[next[0]] = await job(next[1]);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

describe("ends cleanly", { timeout: 60_000 }, () => {
  it(`as ${TIMES} processes`, async () => {
    const mock = await startMock();
    const results = await each(ways, 4, async (way) => {
      const process_ = spawn(process.execPath, [fileURLToPath(child), mock.url, way]);
      let [stdout, stderr] = ["", ""];
      process_.stdout.on("data", (chunk) => {
        stdout += chunk;
      });
      process_.stderr.on("data", (chunk) => {
        stderr += chunk;
      });
      const [code, signal] = await once(process_, "close");
      return { way, code, signal, stdout: stdout.trim(), stderr };
    });
    for (const result of results) {
      const stdout = WAYS[result.way];
      expect(result).toEqual({ way: result.way, code: 0, signal: null, stdout, stderr: "" });
    }
  });

  it(`as ${TIMES} worker threads`, async () => {
    const mock = await startMock();
    const results = await each(ways, 4, async (way) => {
      const worker = new Worker(child, { workerData: [mock.url, way], stderr: true, stdout: true });
      let [said, stderr] = ["", ""];
      worker.on("message", (message) => {
        said += message;
      });
      worker.stderr.on("data", (chunk) => {
        stderr += chunk;
      });
      const [code] = await once(worker, "exit");
      return { way, code, said, stderr };
    });
    for (const result of results) {
      expect(result).toEqual({ way: result.way, code: 0, said: WAYS[result.way], stderr: "" });
    }
  });

  it("as worker threads that are terminated", async () => {
    const mock = await startMock([{ text: Array.from({ length: 1000 }, () => "x"), hang: true }]);
    await each(ways.slice(0, 8), 4, async () => {
      const before = mock.receivedOf("input").length;
      const worker = new Worker(child, { workerData: [mock.url, "awaited"] });
      await mock.waitReceived("input", before + 1);
      await worker.terminate();
    });
  });
});
