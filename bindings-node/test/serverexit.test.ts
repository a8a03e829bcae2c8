/** How a server of your own has ended. A small program stands in for it. */

import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type ConnectionFailed, connect, spawnAppServer } from "@letta/app-client-native";
import { expect, it, onTestFinished } from "vitest";
import { rejection } from "./helpers.js";

/** Says where it listens and which process it is, and answers everything with 200. */
const STAND_IN = `
  const server = require("node:http").createServer((_, response) => response.end("ok"));
  server.listen(0, "127.0.0.1", () => {
    console.log("pid " + process.pid);
    console.log("Listening on ws://127.0.0.1:" + server.address().port + " (stand-in)");
  });
`;
const command = [process.execPath, "-e", STAND_IN, "--"];

function kill(server: { output(): string[] }): void {
  const line = server.output().find((line) => line.startsWith("pid "));
  process.kill(Number(line?.slice(4)), "SIGKILL");
}

function home(): string {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), "server-exit-"));
  onTestFinished(() => fs.rmSync(made, { recursive: true }));
  return made;
}

it("is told to all who wait, with the last lines read", async () => {
  await using server = await spawnAppServer({ command });
  const exited = server.exited;
  expect(server.exited).toBe(exited);
  kill(server);
  expect(await exited).toEqual({ code: null, signal: 9 });
  expect(await server.exited).toEqual({ code: null, signal: 9 });
});

it("is told of one that is closed, and of one that ends by itself", async () => {
  const server = await spawnAppServer({ command });
  await server.close();
  // Asked for only now; it is asked to end by a signal.
  expect(await server.exited).toEqual({ code: null, signal: 15 });
  const ending = `${STAND_IN} server.on("request", () => {
    setTimeout(() => { console.log("bye"); process.exit(3); }, 100);
  });`;
  await using other = await spawnAppServer({ command: [process.execPath, "-e", ending, "--"] });
  expect(await other.exited).toEqual({ code: 3, signal: null });
  expect(other.output().at(-1)).toBe("bye");
});

it("is what a client of it fails with", async () => {
  await using server = await spawnAppServer({ command });
  kill(server);
  await server.exited;
  const failure = (await rejection(connect(server))) as ConnectionFailed;
  expect(failure.message).toContain("the server has ended: killed by signal 9");
  expect(failure).toMatchObject({
    code: "connection_failed",
    hint: "start another server, and make a client of that one",
    retryable: false,
  });
});

it("keeps no process alive", () => {
  const program = `
    import { spawnAppServer } from "@letta/app-client-native";
    const server = await spawnAppServer({ command: ${JSON.stringify(command)} });
    server.exited.then(() => console.log("told"));
    console.log("ready");
  `;
  const ended = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    cwd: path.join(import.meta.dirname, ".."),
    timeout: 10_000,
  });
  expect(ended.status).toBe(0);
  expect(String(ended.stdout)).toBe("ready\n");
});

/** Runs a program with a home of its own, and returns what it prints. */
function run(program: string): string {
  const ended = spawnSync(
    process.execPath,
    ["--expose-gc", "--input-type=module", "-e", `${IMPORT}${program}`],
    {
      cwd: path.join(import.meta.dirname, ".."),
      env: { ...process.env, HOME: home() },
      timeout: 10_000,
    },
  );
  expect(String(ended.stderr)).toBe("");
  return String(ended.stdout);
}

const IMPORT = `
  import { spawnAppServer } from "@letta/app-client-native";
  const options = { command: ${JSON.stringify(command)}, reuse: true };
  const kept = setInterval(() => {}, 1_000);
`;

it("keeps a server that nothing refers to", () => {
  const printed = run(`
    // In an object: a promise that is returned is waited for.
    const started = async () => ({ exited: (await spawnAppServer(options)).exited });
    const { exited } = await started();
    let isOver = false;
    void exited.then(() => { isOver = true; });
    // Each one takes what the one before has left behind.
    for (let round = 0; round < 5; round += 1) {
      gc();
      await new Promise(setImmediate);
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
    console.log(isOver);
    clearInterval(kept);
  `);
  expect(printed).toBe("false\n");
});

it("is not told of a joined server, until that is closed here", () => {
  const printed = run(`
    const both = await Promise.all([spawnAppServer(options), spawnAppServer(options)]);
    const [own, joined] = both[0].joined ? both.reverse() : both;
    if (own.joined || !joined.joined || own.url !== joined.url) throw new Error("two servers");
    let isTold = false;
    void joined.exited.then(() => { isTold = true; });
    await own.close();
    const ended = await own.exited;
    if (isTold) throw new Error("told");
    await joined.close();
    console.log(JSON.stringify([ended, await joined.exited]));
    clearInterval(kept);
  `);
  expect(JSON.parse(printed)).toEqual([
    { code: null, signal: 15 },
    { code: null, signal: null },
  ]);
});
