/** The harness with a real server. `node tests/live/setup.mjs` must have run before. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startLive } from "./harness.mjs";
import { processesOf } from "./processes.mjs";
import { assistantTexts, TestClient, toolDirective } from "./testclient.mjs";

const HARNESS = fileURLToPath(new URL("./harness.mjs", import.meta.url));

/** @param {any[]} deltas @param {string} type */
function ofType(deltas, type) {
  return deltas.filter((delta) => delta.message_type === type);
}

describe("one server", () => {
  /** @type {import("./harness.mjs").Live} */
  let live;
  /** @type {TestClient} */
  let client;

  before(async () => {
    live = await startLive();
    client = await TestClient.connect(live.info.url);
  });
  after(async () => {
    client?.close();
    await live?.close();
  });

  test("says what it is", () => {
    assert.equal(live.info.version, "0.30.28");
    assert.equal(live.info.model, "lmstudio/echo-1");
    assert.ok(fs.statSync(live.info.cwd).isDirectory());
    assert.ok(fs.existsSync(live.info.log));
  });

  test("a turn streams exactly the tokens asked for", async () => {
    const runtime = await client.startRuntime(live.info);
    const { deltas, finished } = await client.turn(runtime, "hello N=3");
    assert.deepEqual(assistantTexts(deltas), ["tok0 ", "tok1 ", "tok2 "]);
    const [usage] = ofType(deltas, "usage_statistics");
    assert.deepEqual(
      [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens],
      [10, 3, 13],
    );
    assert.equal(finished.stop_reason, "end_turn");
  });

  test("reasoning comes before the text", async () => {
    const runtime = await client.startRuntime(live.info);
    const { deltas } = await client.turn(runtime, "REASON=2 N=1");
    const kinds = deltas
      .map((delta) => delta.message_type)
      .filter((type) => /^(reasoning|assistant)_message$/.test(type));
    assert.deepEqual(kinds, ["reasoning_message", "reasoning_message", "assistant_message"]);
    const [usage] = ofType(deltas, "usage_statistics");
    assert.deepEqual([usage.completion_tokens, usage.reasoning_tokens], [3, 2]);
  });

  test("a tool call really runs, and the text follows", async () => {
    const runtime = await client.startRuntime(live.info);
    const bash = toolDirective("Bash", {
      command: "echo made > made.txt; echo $((40 + 2))",
      description: "make a file",
    });
    const { deltas, finished } = await client.turn(runtime, `${bash} N=2`);
    assert.match(JSON.stringify(ofType(deltas, "tool_return_message").at(-1)), /\b42\b/);
    assert.equal(fs.readFileSync(path.join(live.info.cwd, "made.txt"), "utf8"), "made\n");
    assert.deepEqual(assistantTexts(deltas), ["tok0 ", "tok1 "]);
    assert.equal(finished.stop_reason, "end_turn");
  });

  test("an error of the model is retried", async () => {
    const runtime = await client.startRuntime(live.info);
    const { deltas, finished } = await client.turn(runtime, "ERR=500x1 N=1");
    assert.equal(
      ofType(deltas, "event_message").filter((delta) => delta.event_type === "retry").length,
      1,
    );
    assert.deepEqual(assistantTexts(deltas), ["tok0 "]);
    assert.equal(finished.stop_reason, "end_turn");
  });

  test("a cut answer is streamed again from the start", async () => {
    const runtime = await client.startRuntime(live.info);
    const { deltas, finished } = await client.turn(runtime, "CUT=1 CUTONCE N=2");
    assert.deepEqual(assistantTexts(deltas), ["tok0 ", "tok0 ", "tok1 "]);
    assert.equal(finished.stop_reason, "end_turn");
  });

  test("a plain text after a failed turn is not ruled by the failed one", async () => {
    const runtime = await client.startRuntime(live.info);
    const failed = await client.turn(runtime, "ERR=400");
    assert.ok(failed.finished.error);
    const { deltas } = await client.turn(runtime, "just go on");
    assert.deepEqual(assistantTexts(deltas), ["tok0 ", "tok1 "]);
  });

  test("a model that hangs leaves the turn open until it is aborted", async () => {
    const runtime = await client.startRuntime(live.info);
    const from = client.frames.length;
    client.sendInput(runtime, "HANG here");
    const request = await live.llm.waitFor((request) => request.prompt === "HANG here");
    const request_id = client.nextId();
    client.send({ type: "abort_message", request_id, runtime });
    const response = await client.waitFor((frame) => frame.request_id === request_id, from);
    assert.equal(response.aborted, true);
    // The server does not give up a call to the model that has not answered at all, so it also
    // sends no turn_finished here.
    assert.equal(request.outcome, "open");
  });

  test("terminals work", async () => {
    const runtime = await client.startRuntime(live.info);
    client.send({
      type: "terminal_spawn",
      request_id: client.nextId(),
      terminal_id: "t1",
      cols: 80,
      rows: 24,
      runtime,
    });
    const spawned = await client.waitFor((frame) => frame.terminal_id === "t1");
    assert.equal(spawned.type, "terminal_spawned", spawned.error);
    client.send({ type: "terminal_input", terminal_id: "t1", data: "exit 3\r" });
    const exited = await client.waitFor((frame) => frame.type === "terminal_exited");
    assert.equal(exited.exitCode, 3);
  });
});

test("with a token nobody else gets in", async () => {
  const live = await startLive({ token: "open sesame" });
  try {
    await assert.rejects(TestClient.connect(live.info.url), /401/);
    await assert.rejects(TestClient.connect(live.info.url, "wrong"), /401/);
    const client = await TestClient.connect(live.info.url, "open sesame");
    client.close();
  } finally {
    await live.close();
  }
});

/** Starts the harness as a process and leaves a command running in its server that has lost its parent. */
async function startProcess() {
  const child = spawn(process.execPath, [HARNESS], { stdio: ["pipe", "pipe", "inherit"] });
  // Also a standard output that the supervisor holds open must have ended.
  const closed = once(child, "close");
  const [line] = await once(readline.createInterface({ input: child.stdout }), "line");
  /** @type {import("./harness.mjs").LiveInfo} */
  const info = JSON.parse(line);
  const run = path.dirname(info.cwd);
  const client = await TestClient.connect(info.url);
  const runtime = await client.startRuntime(info);
  const command = "(sleep 600 </dev/null >/dev/null 2>&1 & echo pid=$!)";
  const { deltas } = await client.turn(
    runtime,
    toolDirective("Bash", { command, description: "leave a process" }),
  );
  const sleeper = Number(
    /pid=(\d+)/.exec(JSON.stringify(ofType(deltas, "tool_return_message").at(-1)))?.[1],
  );
  const alive = processesOf(run, info.pid);
  assert.ok(
    alive.includes(info.pid) && alive.includes(sleeper),
    `server ${info.pid}, sleeper ${sleeper}, found ${alive}`,
  );
  client.socket.on("error", () => {});
  return { child, closed, info, run };
}

/** @param {{run: string, info: import("./harness.mjs").LiveInfo}} started */
function assertNothingLeft({ run, info }) {
  assert.deepEqual(processesOf(run, info.pid), []);
  assert.ok(!fs.existsSync(run));
}

describe("as a process", () => {
  test("the end of standard input ends everything", async () => {
    const started = await startProcess();
    started.child.stdin.end();
    assert.deepEqual(await started.closed, [0, null]);
    assertNothingLeft(started);
  });

  test("SIGTERM ends everything", async () => {
    const started = await startProcess();
    started.child.kill("SIGTERM");
    assert.deepEqual(await started.closed, [0, null]);
    assertNothingLeft(started);
  });

  test("even SIGKILL leaves nothing behind", async () => {
    const started = await startProcess();
    started.child.kill("SIGKILL");
    assert.deepEqual(await started.closed, [null, "SIGKILL"]);
    assertNothingLeft(started);
  });

  test("the end of the server is an error of the harness", async () => {
    const child = spawn(process.execPath, [HARNESS], { stdio: ["pipe", "pipe", "pipe"] });
    const closed = once(child, "close");
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
    const [line] = await once(readline.createInterface({ input: child.stdout }), "line");
    const info = JSON.parse(line);
    process.kill(info.pid, "SIGKILL");
    assert.deepEqual(await closed, [1, null]);
    assert.match(errors, /the server ended: signal SIGKILL/);
    assertNothingLeft({ info, run: path.dirname(info.cwd) });
  });
});

test("without the supervisor the harness cleans up itself", async () => {
  const live = await startLive();
  process.kill(live.supervisorPid, "SIGKILL");
  await live.close();
  assertNothingLeft({ info: live.info, run: path.dirname(live.info.cwd) });
});
