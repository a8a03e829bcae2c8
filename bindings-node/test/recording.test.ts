import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { connect, createAppServerClient, InvalidOption, replay } from "../dist/esm/index.js";
import { MockServer, replay as replayForTests, script } from "../dist/esm/testing.js";

const TRACES = new URL("../../protocol/traces/", import.meta.url).pathname;

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) fs.rmSync(folder, { recursive: true });
});

function file(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "recording-"));
  folders.push(folder);
  return path.join(folder, "run.letta.jsonl");
}

/** A turn with all that is told of it. */
async function program(target: Parameters<typeof connect>[0], via = connect): Promise<unknown[]> {
  await using client = await via(target);
  const session = await client.session({ agentId: "agent-1" });
  const turn = session.send("What is six times seven?");
  const seen: unknown[] = [];
  // The last event has the result, and with it the time it took.
  for await (const event of turn) if (!("result" in event)) seen.push(event);
  return [...seen, (await turn).text];
}

test("a program that was recorded sees the same again", async () => {
  const record = file();
  const call = { name: "Read", input: { path: "a" } };
  await using mock = await MockServer.start([script.turn({ text: ["4", "2"], toolCalls: [call] })]);
  const live = await program({ url: mock.url, record });
  expect(await program(replay(record))).toEqual(live);
  const events = replay(record).events();
  const pieces = events.map((it) => (it.event as { text?: string } | undefined)?.text);
  expect(pieces.filter((text) => text !== undefined)).toEqual(["4", "2"]);
  const ends = events.filter((it) => it.type === "turn");
  expect(ends.map((it) => (it.result as { text: string }).text)).toEqual(["42"]);
});

test("ES modules and CommonJS play what the other one made", async () => {
  const path = file();
  await using mock = await MockServer.start([script.turn({ text: "42" })]);
  const live = await program({ url: mock.url, record: path });
  const module = { connect, replay };
  const commonjs: typeof module = createRequire(import.meta.url)("../dist/cjs/index.js");
  expect(replayForTests).toBe(replay);
  for (const maker of [module, commonjs]) {
    for (const player of [module, commonjs]) {
      expect(await program(maker.replay(path), player.connect)).toEqual(live);
    }
  }
});

test("a function says how frames are written", async () => {
  const record = file();
  const seen: string[] = [];
  await using mock = await MockServer.start({ token: "s3cret-t0ken" });
  await program({
    url: mock.url,
    authToken: "s3cret-t0ken",
    record,
    redact: (frame, direction) => {
      seen.push(`${direction} ${frame.type}`);
      return frame.type === "update_device_status" ? null : { ...frame, seen: true };
    },
  });
  const text = fs.readFileSync(record, "utf8");
  const lines = text.trim().split("\n");
  for (const line of lines) {
    const { frame } = JSON.parse(line);
    if (frame !== undefined) expect(frame.seen).toBe(true);
  }
  expect(text).not.toContain("update_device_status");
  expect(text).not.toContain("s3cret");
  const sent = mock.received.map((frame) => `send ${(frame as { type: string }).type}`);
  expect(seen.filter((it) => it.startsWith("send"))).toEqual(sent);
  expect(seen).toContain("recv update_device_status");
});

test("frames at which the function fails are left out and counted", async () => {
  const record = file();
  const warnings: string[] = [];
  const warn = vi.spyOn(process, "emitWarning").mockImplementation((text) => {
    warnings.push(String(text));
  });
  onTestFinished(() => warn.mockRestore());
  await using mock = await MockServer.start([script.turn({ text: "42" })]);
  const redact = (frame: Record<string, unknown>) => {
    const fails = frame.type === "update_queue" || frame.type === "stream_delta";
    if (fails) throw new Error("what it cannot write");
    return frame;
  };
  await using client = await connect({ url: mock.url, record, redact });
  const session = await client.session({ agentId: "agent-1" });
  await session.run("?");
  await client.close();
  const text = fs.readFileSync(record, "utf8");
  const left = text.split("a frame was left out (recv): the redactor failed").length - 1;
  expect(left, "only the first is reported").toBeGreaterThan(2);
  expect(client.stats.unrecorded).toBe(left);
  expect(warnings).toEqual([
    "the redactor failed, a frame is left out of the recording: Error: what it cannot write; " +
      "the next ones are only counted (stats.unrecorded)",
    `the client is closed, and lines are missing in its recording: ${left}`,
  ]);
});

test("a function says it under fake timers too", async () => {
  vi.useFakeTimers();
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const record = file();
  await using mock = await MockServer.start([script.turn({ text: "42" })]);
  await using client = await connect({ url: mock.url, record, redact: (frame) => frame });
  const session = await client.session({ agentId: "agent-1" });
  expect((await session.run("?")).text).toBe("42");
  await client.close();
  expect(client.stats.unrecorded).toBe(0);
  expect(fs.readFileSync(record, "utf8")).toContain('"input"');
});

test("fields are redacted by name", async () => {
  const record = file();
  await using mock = await MockServer.start([script.turn({ text: "hush" })]);
  await using client = await connect({
    url: mock.url,
    record: { path: record },
    redact: ["content"],
  });
  const session = await client.session({ agentId: "a" });
  expect((await session.run("secretly")).text).toBe("hush");
  await client.close();
  expect(client.stats.unrecorded).toBe(0);
  expect(fs.readFileSync(record, "utf8")).not.toMatch(/secretly|hush/);
});

test("fields are redacted in arguments that are JSON in JSON", async () => {
  const record = file();
  const call = { name: "Bash", input: { command: "curl -H hunter2", n: 4711 } };
  await using mock = await MockServer.start([script.turn({ toolCalls: [call] })]);
  await using client = await connect({ url: mock.url, record, redact: ["command"] });
  const session = await client.session({ agentId: "a" });
  await session.run("go");
  await client.close();
  const text = fs.readFileSync(record, "utf8");
  expect(text).not.toContain("hunter2");
  expect(text).toContain(String.raw`{\"command\":\"[redacted]\",\"n\":4711}`);
});

test.skipIf(process.platform === "win32")("what cannot be written is told once", async () => {
  const warnings: Error[] = [];
  const listen = (warning: Error) => warnings.push(warning);
  process.on("warning", listen);
  onTestFinished(() => {
    process.off("warning", listen);
  });
  const record = file();
  execFileSync("mkfifo", [record]);
  // It reads the first line, and leaves.
  const reader = spawn("head", ["-n", "1", record]);
  const left = once(reader, "close");
  await using mock = await MockServer.start([script.turn({ text: "42" })]);
  const client = createAppServerClient({ url: mock.url, record });
  await left;
  await client.connect();
  const session = await client.session({ agentId: "agent-1" });
  await session.run("?");
  await client.close();
  await new Promise(setImmediate);
  const told = warnings.filter(({ name }) => name === "AppClientRecordingWarning");
  expect(told).toHaveLength(2);
  const first = `lines are missing in the recording ${record}: they could not be written (`;
  expect(told[0]?.message.startsWith(first)).toBe(true);
  const { unrecorded } = client.stats;
  expect(unrecorded).toBeGreaterThan(3);
  expect(told[1]?.message).toBe(
    `the client is closed, and lines are missing in its recording: ${unrecorded}`,
  );
});

test("one that only watches gets the frames", async () => {
  const trace = path.join(TRACES, "single/approval_allow.jsonl");
  const lines = fs.readFileSync(trace, "utf8").trim().split("\n");
  const recorded = lines.map((line) => JSON.parse(line)).filter((line) => line.dir === "recv");
  await using client = await connect(replay(trace, { wait: false }));
  const got: unknown[] = [];
  client.onMessage((message) => got.push(message));
  await new Promise<void>((resolve) => client.onDisconnect(() => resolve()));
  expect(got).toEqual(recorded.map((line) => line.frame));
});

test("the options of a client that plays with a recording stand behind it", async () => {
  const trace = path.join(TRACES, "single/approval_allow.jsonl");
  await using client = await connect(replay(trace), { requestTimeoutMs: 30, reconnect: false });
  // The recorded program sent something else first, so there is no answer.
  await expect(client.info()).rejects.toThrow("within 0.03 s");
});

test("null is the same as an option that is left out", async () => {
  const nothing: object = { speed: null, wait: null, stepTimeoutMs: null };
  await using mock = await MockServer.start([script.turn({ text: "42" })]);
  const path = file();
  const live = await program({
    url: mock.url,
    record: { path, maxBytes: null, maxFiles: null } as object as { path: string },
  });
  expect(await program(replay(path, nothing))).toEqual(live);
});

test("a redactor that takes its time leaves the thread to others between two frames", async () => {
  await using mock = await MockServer.start([script.turn({ text: ["4", "2"] })]);
  let [turns, over] = [0, false];
  const tick = () => {
    turns += 1;
    if (!over) setImmediate(tick);
  };
  tick();
  const seen: number[] = [];
  const redact = (frame: object) => {
    seen.push(turns);
    // Long enough for the next frame to wait already.
    for (const end = performance.now() + 3; performance.now() < end; );
    return frame;
  };
  await program({ url: mock.url, record: file(), redact });
  over = true;
  expect(seen.length).toBeGreaterThan(5);
  expect(new Set(seen).size).toBe(seen.length);
});

test("what is no frame is left out with a warning", async () => {
  const record = file();
  await using mock = await MockServer.start();
  const warnings: string[] = [];
  const listen = (warning: Error) => warnings.push(warning.message);
  process.on("warning", listen);
  const late = async () => Promise.reject(new Error("too late"));
  const kinds: [() => unknown, string][] = [
    [() => 5, "expected a plain object or null, got Number"],
    [() => "text", "expected a plain object or null, got String"],
    [() => [1], "expected a plain object or null, got Array"],
    [() => new Map(), "expected a plain object or null, got Map"],
    [late, "expected a plain object or null, got Promise"],
    [() => ({ at: Number.NaN }), "at: expected a finite number, got NaN"],
  ];
  for (const [result] of kinds) {
    const results = [result];
    const redact = (): object => (results.shift()?.() ?? { type: "last" }) as object;
    const client = await connect({ url: mock.url, record, redact });
    await client.agents.list();
    await client.close();
    const lines = fs.readFileSync(record, "utf8").trim().split("\n");
    const told = lines.map((line) => JSON.parse(line)).filter((line) => line.dir || line.text);
    expect(told[1].text).toMatch(/^a frame was left out/);
    expect(told[2].frame).toEqual({ type: "last" });
  }
  await new Promise(setImmediate);
  process.off("warning", listen);
  for (const [, words] of kinds) {
    const failed = "the redactor failed, a frame is left out of the recording: ";
    const next = "; the next ones are only counted (stats.unrecorded)";
    expect(warnings).toContain(`${failed}InvalidOption: redact: ${words}${next}`);
  }
});

test("each client needs a file of its own", async () => {
  await using mock = await MockServer.start();
  const options = { url: mock.url, record: file() };
  const first = await connect(options);
  await expect(connect(options)).rejects.toThrow("another recording is being written to it");
  await first.close();
  await (await connect(options)).close();
});

test("what cannot be used is refused by its name", async () => {
  const url = "ws://127.0.0.1:1";
  const refused = (options: object, message: string) =>
    expect(connect({ url, ...options })).rejects.toThrow(
      expect.objectContaining({
        constructor: InvalidOption,
        message: expect.stringMatching(message),
      }),
    );
  await refused({ record: 1 }, "^record: expected a path or options");
  await refused({ redact: ["a"] }, "^redact: there is no recording");
  await refused({ record: "f", redact: 1 }, "^redact: expected a function or names of fields");
  await refused(
    { record: "f", redact: async (frame: object) => frame },
    "^redact: expected a function that returns the frame, got an async one",
  );
  await refused({ record: "/does/not/exist/f" }, "^record: cannot write /does/not/exist/f");
  await refused(
    { record: { path: "f", maxBytes: "1" } },
    "^record.maxBytes: expected a whole number",
  );
  await refused(
    { record: { path: "f", maxBytes: 1.5 } },
    "^record.maxBytes: expected a whole number",
  );
  await refused(
    { record: { path: "f", maxFiles: true } },
    "^record.maxFiles: expected a whole number",
  );
  for (const [options, message] of [
    [{ speed: "2" }, "speed: expected a number"],
    [{ wait: 1 }, "wait: expected a boolean"],
    [{ stepTimeoutMs: "5" }, "stepTimeoutMs: expected a number"],
    [null, "options: expected an object"],
  ] as [never, string][]) {
    expect(() => replay("f", options)).toThrow(InvalidOption);
    expect(() => replay("f", options)).toThrow(message);
  }
  expect(() => replay("/nowhere").events()).toThrow("replay: cannot read /nowhere");
  await expect(connect(replay("/nowhere"))).rejects.toThrow("replay: cannot read /nowhere");
});
