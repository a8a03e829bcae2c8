/** Wherever a recording breaks off, every call ends once the server has gone. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { LettaAppError } from "@letta/app-client-native";
import type { Generation } from "@letta/app-client-native/testing";
import { afterAll, describe, expect, it } from "vitest";
import { follow, isInput, linesOf, played, run, type Start, TRACES } from "./playback.js";

const SETTLES_WITHIN_MS = 5_000;

const RECORDINGS: [generation: Generation, name: string][] = [
  ["single", "simple_turn"],
  ["single", "approval_parallel"],
  ["single", "abort_with_queue"],
  ["single", "queued_during_tool_merged"],
  ["single", "llm_stream_cut"],
  ["single", "race_after_finish_approval"],
  ["single", "subagent"],
  ["split", "simple_turn"],
  ["split", "approval_allow"],
  ["split", "abort_during_tool"],
  ["split", "llm_stream_cut"],
  ["split", "external_tool_success"],
  ["split", "subagent"],
];

const folder = mkdtempSync(path.join(tmpdir(), "prefixes-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Numbers of lines to stop after: right behind the first input, and spread over the rest. */
function cuts(file: URL): number[] {
  const lines = linesOf(file);
  const first = lines.findIndex(isInput) + 1;
  const spread = [0, 0.2, 0.4, 0.6, 0.8].map((part) => first + part * (lines.length - first));
  return [...new Set([...spread.map(Math.floor), lines.length - 1])];
}

describe.each<[string, Start<unknown>]>([
  ["runTurn", run],
  ["sendTurn", follow],
])("ends with %s", (_, start) => {
  it.each(RECORDINGS)("%s/%s", { timeout: 30_000 }, async (generation, name) => {
    const file = new URL(`${generation}/${name}.jsonl`, TRACES);
    const lines = readFileSync(file, "utf8").split("\n");
    for (const count of cuts(file)) {
      const prefix = path.join(folder, `${generation}-${name}-${count}.jsonl`);
      writeFileSync(prefix, `${lines.slice(0, count).join("\n")}\n`);
      const { mock, turns } = await played(prefix, generation, start);
      expect(turns, `inputs in ${count} lines`).not.toEqual([]);
      await mock.waitDone();
      const closed = Date.now();
      await mock.close();
      const outcomes = await Promise.allSettled(turns);
      expect(Date.now() - closed, `after ${count} lines`).toBeLessThan(SETTLES_WITHIN_MS);
      for (const outcome of outcomes) {
        if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(LettaAppError);
      }
    }
  });
});
