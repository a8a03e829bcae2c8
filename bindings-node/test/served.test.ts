import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { MockServer, type ScriptedTurn } from "@letta/app-client-native/testing";
import { expect, it, onTestFinished } from "vitest";

const program = fileURLToPath(new URL("lifecycle/served.mjs", import.meta.url));

const slow: ScriptedTurn = { text: ["a", "b", "c"], delayMs: 100 };
const WAYS: [way: string, turn: ScriptedTurn][] = [
  ["unsubscribes early", { text: ["a", "b"], hang: true }],
  ["only runs tools", { ...slow, toolCalls: [{ name: "lookup" }] }],
  ["listens afterwards", slow],
  ["listens after the acceptance", slow],
  ["after a turn", { text: "a" }],
  ["does not listen", { text: "a" }],
];

const IDLE = {
  type: "update_loop_status",
  loop_status: { status: "WAITING_ON_INPUT", active_run_ids: [] },
};

/** Runs the program to its end; gives what it printed and what the server got. */
async function run(way: string, turn: ScriptedTurn) {
  const mock = await MockServer.start([turn]);
  const child = spawn(process.execPath, [program, mock.url, way]);
  onTestFinished(async () => {
    child.kill();
    await mock.close();
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
    // The input waits for the pause after the turn before, whose last idle status is late.
    const [, runtime] = /^sent (.*)$/m.exec(chunk) ?? [];
    if (runtime) mock.push({ ...IDLE, runtime: JSON.parse(runtime) });
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const [code] = await once(child, "close");
  const served = stdout.replace(/^sent .*$/m, "").trim();
  return { way, code, served, stderr, inputs: mock.receivedOf("input").length };
}

it("stays for the turns that handlers serve, and no longer", { timeout: 20_000 }, async () => {
  const results = await Promise.all(WAYS.map(([way, turn]) => run(way, turn)));
  expect(results).toEqual(
    WAYS.map(([way]) => ({
      ...{ way, code: 0, served: "served", stderr: "" },
      inputs: way === "after a turn" ? 2 : 1,
    })),
  );
});
