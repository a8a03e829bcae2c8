/** A server of your own. A small program stands in for it. */

import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { inspect } from "node:util";
import type * as module from "@letta/app-client-native";
import {
  connect,
  createAppServerClient,
  InvalidOption,
  LettaAppError,
  ServerStartError,
  spawnAppServer,
} from "@letta/app-client-native";
import { expect, it, onTestFinished, vi } from "vitest";
import { ServerStart } from "../dist/cjs/native.cjs";
import { nextWarning, rejection } from "./helpers.js";

/** Says where it listens, answers everything with 200, and writes down its process id. */
const STAND_IN = `
  const fs = require("node:fs");
  const server = require("node:http").createServer((_, response) => response.end("ok"));
  server.listen(0, "127.0.0.1", () => {
    fs.writeFileSync("pid", String(process.pid));
    console.log("arguments: " + process.argv.slice(1).join(" "));
    console.log("Listening on ws://127.0.0.1:" + server.address().port + " (stand-in)");
  });
`;
const command = [process.execPath, "-e", STAND_IN, "--"];

function folder(): string {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), "own-server-"));
  onTestFinished(() => fs.rmSync(made, { recursive: true }));
  return made;
}

const pidIn = (cwd: string) => Number(fs.readFileSync(path.join(cwd, "pid"), "utf8"));

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

it("passes on an environment with what is not set", async () => {
  const asks = `console.log("KEY=" + process.env.KEY + " LEFT=" + process.env.LEFT);${STAND_IN}`;
  const env = { ...process.env, KEY: "value", LEFT: undefined };
  const command = [process.execPath, "-e", asks, "--"];
  await using server = await spawnAppServer({ command, cwd: folder(), env });
  expect(server.output().join("\n")).toContain("KEY=value LEFT=undefined");
});

it("starts with a token and ends when it is closed", async () => {
  const cwd = folder();
  const server = await spawnAppServer({ command, cwd });
  expect(server.url).toMatch(/^ws:\/\/127\.0\.0\.1:\d+$/);
  expect(server.authToken).toMatch(/^[0-9a-f]{64}$/);
  expect(inspect(server)).not.toContain(server.authToken);
  const output = server.output().join("\n");
  expect(output).toContain("--listen ws://127.0.0.1:0 --ws-auth capability-token");
  expect(output).not.toContain(server.authToken);
  const pid = pidIn(cwd);
  expect(runs(pid)).toBe(true);
  await server.close();
  await server.close();
  expect(runs(pid)).toBe(false);
  expect(server.output().join("\n").startsWith(output)).toBe(true);
});

it("is known to clients of either build of this package", async () => {
  const commonjs: typeof module = createRequire(import.meta.url)("../dist/cjs/index.js");
  for (const spawn of [spawnAppServer, commonjs.spawnAppServer]) {
    await using server = await spawn({ command, cwd: folder() });
    await createAppServerClient(server).close();
    // It is no App Server, but it is found, and asked.
    const failure = await rejection(connect(server));
    expect(failure).toBeInstanceOf(LettaAppError);
    expect(failure).not.toBeInstanceOf(InvalidOption);
  }
});

it("is connected to with the options of the client", async () => {
  await using server = await spawnAppServer({ command, cwd: folder() });
  const record = path.join(folder(), "run.jsonl");
  const failure = await rejection(connect(server, { requestTimeoutMs: 5, record }));
  // It was asked with its token, and is no App Server.
  expect(failure).toBeInstanceOf(LettaAppError);
  expect(failure).not.toBeInstanceOf(InvalidOption);
  expect(fs.existsSync(record)).toBe(true);
  const slip = await rejection(connect(server, { requestTimeout: 5 } as never));
  expect((slip as Error).message).toContain(
    "requestTimeout: there is no such option (did you mean request",
  );
});

it("hands each line on that the server prints", async () => {
  const lines: string[] = [];
  const printing = `${STAND_IN}
    for (let index = 0; index < 3000; index += 1) console.log("line " + index);
    process.on("SIGTERM", () => { console.error("bye"); process.exit(0); });`;
  const options = { command: [process.execPath, "-e", printing, "--"], cwd: folder() };
  const server = await spawnAppServer({ ...options, onLog: (line) => lines.push(line) });
  await server.close();
  const numbered = lines.filter((line) => line.startsWith("line "));
  expect(numbered).toEqual(Array.from({ length: 3000 }, (_, index) => `line ${index}`));
  expect(lines.some((line) => line.startsWith("Listening on "))).toBe(true);
  expect(lines.at(-1)).toBe("bye");
});

it("hands on what was printed by one that does not start, and survives who listens", async () => {
  const lines: string[] = [];
  const onLog = (line: string) => {
    lines.push(line);
    throw new Error("no display");
  };
  const warned = nextWarning("AppClientHandlerWarning");
  const script = 'console.log("one"); console.log("two"); process.exit(3)';
  const failing = spawnAppServer({ command: [process.execPath, "-e", script, "--"], onLog });
  expect(await rejection(failing)).toBeInstanceOf(ServerStartError);
  expect(lines).toEqual(["one", "two"]);
  expect((await warned).message).toBe("a handler of onLog failed: no display");
  const wrong = await rejection(spawnAppServer({ onLog: "console" as never }));
  expect((wrong as Error).message).toBe('onLog: expected a function, got "console"');
});

it("takes null for what is left out", async () => {
  const nothing: object = { auth: null, reuse: null, readyTimeoutMs: null, onLog: null };
  await using server = await spawnAppServer({ command, cwd: folder(), ...nothing });
  expect(server.authToken).toMatch(/^[0-9a-f]{64}$/);
});

it("does without a token when it is told so", async () => {
  await using server = await spawnAppServer({ command, cwd: folder(), auth: false });
  expect(server.authToken).toBeUndefined();
  expect(server.output().join("\n")).not.toContain("--ws-auth");
});

it("says why it did not start", async () => {
  const failing = [process.execPath, "-e", "console.error('no such model'); process.exit(7)", "--"];
  const failure: unknown = await spawnAppServer({ command: failing }).catch((error) => error);
  expect(failure).toBeInstanceOf(ServerStartError);
  expect(failure).toMatchObject({
    message: expect.stringContaining("no such model"),
    ...{ command: failing, exitCode: 7, outputTail: ["no such model"] },
  });
  await expect(spawnAppServer({ command: ["no-such-program"] })).rejects.toThrow(ServerStartError);
});

it.each([
  [{ command: [] }, "command"],
  [{ command: "letta server" as unknown as string[] }, "command"],
  [{ readyTimeoutMs: 0 }, "readyTimeoutMs"],
  [{ cwd: 5 as unknown as string }, "cwd"],
  [{ env: { PORT: 3 as unknown as string } }, "env.PORT"],
  [{ env: null as never }, "env"],
  [{ readyTimeoutMs: "5" as never }, "readyTimeoutMs"],
  [{ readyTimeoutMs: Number.NaN }, "readyTimeoutMs"],
  [{ auth: "auto" as never }, "auth"],
  [{ reuse: 1 as never }, "reuse"],
  [{ env: new Map([["KEY", "v"]]) as never }, "env"],
  [{ env: ["A=1"] as never }, "env"],
  [{ env: { "A=B": "c" } }, "env"],
  [{ env: { "": "c" } }, "env"],
  [{ env: { KEY: "a\0b" } }, "env.KEY"],
  [{ env: { KEY: "a\ud83d" } }, "env.KEY"],
  [{ command: ["a\0b"] }, "command[0]"],
  [{ command: ["a\udcff"] }, "command"],
  [{ cwd: "\udcff" }, "cwd"],
  [{ signal: {} as never }, "signal"],
])("refuses %j", async (options, name) => {
  const failure: unknown = await spawnAppServer(options).catch((error) => error);
  expect(failure).toBeInstanceOf(InvalidOption);
  const { message } = failure as Error;
  expect(message.startsWith(`${name}: `)).toBe(true);
  expect(message).not.toMatch(/got $/);
});

it("breaks a start off when its signal is aborted", async () => {
  const cwd = folder();
  // It says that it is there, and never where it listens.
  const code = `require("node:fs").writeFileSync("pid", String(process.pid)); setInterval(() => {}, 1e6)`;
  const controller = new AbortController();
  const command = [process.execPath, "-e", code, "--"];
  const failure = rejection(spawnAppServer({ command, cwd, signal: controller.signal }));
  const there = () => fs.existsSync(path.join(cwd, "pid")) && pidIn(cwd) > 0;
  await expect.poll(there, { timeout: 10_000 }).toBe(true);
  controller.abort("enough");
  expect(await failure).toMatchObject({ name: "AbortError", cause: "enough" });
  await expect.poll(() => runs(pidIn(cwd)), { timeout: 5_000 }).toBe(false);
  const never = rejection(spawnAppServer({ command, cwd, signal: AbortSignal.abort() }));
  expect(await never).toMatchObject({ name: "AbortError" });
});

it("hands the last lines on where it is aborted when it has just started", async () => {
  const controller = new AbortController();
  const run = ServerStart.prototype.run;
  const started = vi.spyOn(ServerStart.prototype, "run").mockImplementation(async function (
    this: InstanceType<typeof ServerStart>,
    ...given
  ) {
    const server = await run.apply(this, given);
    controller.abort();
    return server;
  });
  onTestFinished(() => started.mockRestore());
  const lines: string[] = [];
  // What it leaves behind has its output, and prints once it has ended.
  const late = "setTimeout(() => console.log('bye'), 300)";
  const ending = `${STAND_IN}
    process.on("SIGTERM", () => {
      const options = { detached: true, stdio: "inherit" };
      require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(late)}], options);
      process.exit(0);
    });`;
  const options = { command: [process.execPath, "-e", ending, "--"], cwd: folder() };
  const onLog = (line: string) => lines.push(line);
  const failure = await rejection(spawnAppServer({ ...options, onLog, signal: controller.signal }));
  expect(failure).toMatchObject({ name: "AbortError" });
  expect(lines.at(-1)).toBe("bye");
});

it.each(["return", "exit", "throw", "kill"])("ends with its owner: %s", async (end) => {
  const cwd = folder();
  const owner = `
    import { spawnAppServer } from "@letta/app-client-native";
    await spawnAppServer({ command: ${JSON.stringify(command)}, cwd: ${JSON.stringify(cwd)} });
    if (${JSON.stringify(end)} === "exit") process.exit(0);
    if (${JSON.stringify(end)} === "throw") throw new Error("the owner fails");
    if (${JSON.stringify(end)} === "kill") process.kill(process.pid, "SIGKILL");
  `;
  spawnSync(process.execPath, ["--input-type=module", "-e", owner], {
    cwd: path.join(import.meta.dirname, ".."),
    stdio: "ignore",
  });
  const pid = pidIn(cwd);
  await expect.poll(() => runs(pid), { timeout: 5_000 }).toBe(false);
});
