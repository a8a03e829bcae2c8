/** Faults that the reference client has, or had, and this one must not have. */

import { readFileSync } from "node:fs";
import { TurnInterrupted } from "@letta/app-client-native";
import { expect, it } from "vitest";
import { firstText, GENERATIONS, prepared, rejection, say } from "./helpers.js";
import { played, run, TRACES } from "./playback.js";

/** The result of the only input of a recording, and what it is expected to be. */
async function recorded(name: string) {
  const { inputs } = JSON.parse(readFileSync(new URL("EXPECTED.json", TRACES), "utf8"));
  const generation = name.startsWith("split/") ? "split" : "single";
  const { turns } = await played(new URL(`${name}.jsonl`, TRACES).pathname, generation, run);
  const [expected] = inputs[`${name}.jsonl`] as { outcome: string; text: string }[];
  return { result: await turns[0], expected };
}

it.each(GENERATIONS)("a foreign stop reason ends nothing on a %s server", async (name, script) => {
  const { mock, client, runtime } = await prepared({
    ...script,
    turns: [{ text: ["own ", "text"], delayMs: 20 }],
  });
  const begun = firstText(client);
  const turn = client.runTurn({ runtime, payload: say("?") });
  await begun;
  const delta = {
    ...{ type: "message", message_type: "stop_reason", stop_reason: "end_turn" },
    ...{ id: "letta-msg-foreign", run_id: "run-foreign", seq_id: 1 },
  };
  const stop = { type: "stream_delta", runtime, delta };
  mock.push(stop);
  mock.push({ ...stop, subagent_id: "subagent-1" });
  mock.push({ ...stop, runtime: { ...runtime, conversation_id: "other" } });
  if (name === "single") {
    const finished = { type: "turn_finished", turn_id: "batch-foreign", stop_reason: "end_turn" };
    mock.push({ ...finished, runtime, run_id: "run-foreign" });
  }
  expect(await turn).toMatchObject({ status: "completed", text: "own text" });
});

it.each(["single/subagent", "split/subagent"])(
  "a subagent's stop reason ends nothing in %s",
  async (name) => {
    const { result, expected } = await recorded(name);
    expect(result).toMatchObject({ stopReason: expected?.outcome, text: expected?.text });
  },
);

it.each([
  // Tried again within one run, and with a run of its own.
  ["single/llm_error_recovers", 0],
  ["split/llm_error_recovers", 0],
  ["single/llm_stream_cut", 1],
  ["split/llm_stream_cut", 1],
])("an error that is tried again fails nothing in %s", async (name, retries) => {
  const { result, expected } = await recorded(name);
  expect(result).toMatchObject({ status: "completed", stopReason: "end_turn", error: null });
  expect(result).toMatchObject({ retries, text: expected?.text });
});

it("the token counts are there", async () => {
  const { client, runtime } = await prepared([{ usage: [10, 3] }]);
  const { usage } = await client.runTurn({ runtime, payload: say("?") });
  expect(usage).toMatchObject({ promptTokens: 10, completionTokens: 3, totalTokens: 13 });
});

it.each(GENERATIONS)("a disconnect ends the wait on a %s server", async (_, script) => {
  const { mock, client, runtime } = await prepared({ ...script, turns: [{ hang: true }] });
  const begun = firstText(client);
  const turn = rejection(client.runTurn({ runtime, payload: say("?") }));
  await begun;
  mock.cutConnections();
  expect(await turn).toBeInstanceOf(TurnInterrupted);
});

it("the limit of requests, 30 s by default, is none of turns", async () => {
  const turns = [{ text: ["slow"], delayMs: 300 }];
  const { client, runtime } = await prepared({ turns }, { requestTimeoutMs: 50 });
  const result = await client.runTurn({ runtime, payload: say("?") });
  expect(result).toMatchObject({ status: "completed", text: "slow" });
  expect(result.durationMs).toBeGreaterThan(50);
});
