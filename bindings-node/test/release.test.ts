/** Closed clients and turns that are over leave nothing behind. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { startMock } from "./helpers.js";

/** What `make endurance` does a thousand times, which looks at the memory as well. */
const program = fileURLToPath(new URL("../../bench/endurance/cycles.mjs", import.meta.url));

it.runIf(existsSync("/proc/self/fd"))(
  "neither threads nor descriptors",
  { timeout: 60_000 },
  async () => {
    const mock = await startMock([{ text: Array.from({ length: 30 }, () => "piece ") }]);
    const child = spawn(process.execPath, ["--expose-gc", program, mock.url, "50"]);
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "close"),
    ]);
    expect([code, stderr]).toEqual([0, ""]);
    for (const held of Object.values<Record<string, number[]>>(JSON.parse(stdout))) {
      for (const kind of ["threads", "descriptors"]) {
        const [before, after] = held[kind] ?? [];
        expect(before).toBeGreaterThan(0);
        expect([kind, after]).toEqual([kind, before]);
      }
    }
  },
);
