import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { MockServer, type ScriptedTurn } from "@letta/app-client-native/testing";
import { expect, it, onTestFinished } from "vitest";
import { startMock } from "./helpers.js";

const program = fileURLToPath(new URL("lifecycle/turn.mjs", import.meta.url));

const slow: ScriptedTurn = { text: ["a", "b", "c"], delayMs: 100 };
const cut: ScriptedTurn = { text: ["a", "b"], disconnectAfter: 2 };
const WAYS: [way: string, turn: ScriptedTurn, says: string[], aborts: number][] = [
  ["awaited", slow, ["finished", "completed"], 0],
  ["followed", slow, ["finished", "completed"], 0],
  ["left alone", slow, ["finished"], 0],
  ["failing, never awaited", cut, [], 0],
  ["failing, followed", cut, ["turn_interrupted", "turn_interrupted"], 0],
  ["left early", { text: "a", hang: true }, ["finished"], 1],
  ["detached", { text: "a", hang: true }, [], 0],
];

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
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const [code] = await once(child, "close");
  const says = stdout.split("\n").filter((line) => line !== "");
  return { way, code, stderr, says, aborts: mock.receivedOf("abort_message").length };
}

it("a program ends by itself when its turn has ended or is detached", {
  timeout: 20_000,
}, async () => {
  const results = await Promise.all(WAYS.map(([way, turn]) => run(way, turn)));
  expect(results).toEqual(
    WAYS.map(([way, , says, aborts]) => ({ way, code: 0, stderr: "", says, aborts })),
  );
});

it.each([
  ["submitInput", "await client.submitInput({ runtime, payload });"],
  ["input with an id", 'client.input({ request_id: "mine", runtime, payload });'],
])("is not waited for any longer once an answer says that it has left: %s", async (_, send) => {
  const mock = await startMock([{ text: "yes" }]);
  // So long the engine might hold an input back.
  const program = `
    import { connect } from "@letta/app-client-native";
    const client = await connect({ url: ${JSON.stringify(mock.url)}, settlePauseMs: 25_000 });
    client.onMessage(({ type }) => { if (type === "turn_finished") console.log("finished"); });
    const { runtime } = await client.runtimeStart({ agent_id: "a" });
    const payload = { kind: "create_message", messages: [{ role: "user", content: "?" }] };
    ${send}
  `;
  const ended = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    cwd: path.join(import.meta.dirname, ".."),
    timeout: 15_000,
  });
  expect({ status: ended.status, stderr: String(ended.stderr) }).toEqual({ status: 0, stderr: "" });
  expect(String(ended.stdout)).toBe("finished\n");
});
