import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { MockServer, script } from "../dist/esm/testing.js";

const APP = fileURLToPath(new URL("../bin/letta-app.mjs", import.meta.url));
const TRACE = fileURLToPath(
  new URL("../../protocol/traces/single/approval_allow.jsonl", import.meta.url),
);

/** Runs the command; what it does is tested with the Python package, which installs the same one. */
async function app(...words: string[]): Promise<{ stdout: string; stderr: string; code: number }> {
  const env = { PATH: process.env.PATH };
  const run = promisify(execFile)(process.execPath, [APP, ...words], { env });
  run.child.stdin?.end();
  return run.then(
    ({ stdout, stderr }) => ({ stdout, stderr, code: 0 }),
    (error) => error,
  );
}

test("run streams a turn", async () => {
  await using mock = await MockServer.start([script.turn({ text: ["4", "2"] })]);
  const done = await app("run", "What is it?", "--url", mock.url, "--agent", "a");
  expect([done.stdout, done.code]).toEqual(["42\n", 0]);
  expect(done.stderr).toContain("completed");
});

test("doctor tells what is wrong, by its exit code too", async () => {
  const done = await app("doctor", "--url", "ws://127.0.0.1:9");
  expect(done.code).toBe(3);
  expect(done.stdout).toContain("nothing listens at 127.0.0.1:9");
});

test("replay prints the events of a recording", async () => {
  const { stdout } = await app("replay", TRACE, "--json");
  const events = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(events.filter((event) => event.type === "turn")).toHaveLength(1);
});

// On Windows a signal from another process ends a process at once.
test.skipIf(process.platform === "win32").each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)("%s stops the turn on the server", async (signal, code) => {
  await using mock = await MockServer.start([script.turn({ text: "Working", hang: true })]);
  const words = ["run", "?", "--url", mock.url, "--agent", "a"];
  const env = { PATH: process.env.PATH };
  const child = spawn(process.execPath, [APP, ...words], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "exit");
  try {
    const [said] = await once(child.stdout, "data");
    expect(String(said)).toBe("Working");
    child.kill(signal);
    expect(await ended).toEqual([code, null]);
    mock.assertReceived("abort_message", { times: 1 });
  } finally {
    child.kill("SIGKILL");
  }
});
