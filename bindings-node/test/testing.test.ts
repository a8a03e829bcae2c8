import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { test as base, expect } from "vitest";
import { connect, InvalidOption } from "../dist/esm/index.js";
import { fixtures, MockServer, type ScriptedTurn, script } from "../dist/esm/testing.js";

/** Runs an example of a page, which is run with the packages of this folder. */
async function runExample(page: string, index = 0) {
  const text = fs.readFileSync(new URL(`../../docs/${page}`, import.meta.url), "utf8");
  const blocks = text.matchAll(
    /<!-- run: bindings-node.test.testing.test.ts -->\n```js\n(.*?)```/gs,
  );
  const code = [...blocks][index]?.[1];
  if (code === undefined) throw new Error("no example");
  const file = new URL(`./${page.replace("/", ".")}.${index}.example.mjs`, import.meta.url);
  const built = (name: string) => new URL(`../dist/esm/${name}.js`, import.meta.url).href;
  const imports = code
    .replace('"@letta/app-client-native"', JSON.stringify(built("index")))
    .replace('"@letta/app-client-native/testing"', JSON.stringify(built("testing")));
  fs.writeFileSync(file, imports);
  try {
    await import(/* @vite-ignore */ file.href);
  } finally {
    fs.rmSync(file);
  }
}

const test = base.extend(fixtures);

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms, "not yet"));

test("the example of the documentation runs", () => runExample("testing.md"));

test("the example of structured output runs", () => runExample("testing.md", 1));

// It says itself what is tested.
await runExample("how-to/test-your-app.md");

test("fixtures make servers and close them", async ({ mock, startMock }) => {
  const other = await startMock([script.turn({ text: "other" })]);
  for (const [server, text] of [
    [mock, "Hello world"],
    [other, "other"],
  ] as const) {
    await using client = await connect(server.url);
    const session = await client.session({ agentId: "a" });
    expect((await session.run("?")).text).toBe(text);
  }
});

test("a server that nobody has kept answers until the program ends, and leaves nothing", () => {
  const program = `
    import { connect } from "@letta/app-client-native";
    import { MockServer } from "@letta/app-client-native/testing";
    const started = async () => {
      const { url, folder } = await MockServer.start({ turns: [{ text: "42" }], files: true });
      return { url, folder };
    };
    const { url, folder } = await started();
    const session = await (await connect(url)).session({ agentId: "a" });
    // What may be collected is so only once the event loop has turned.
    for (let turns = 0; turns < 10; turns += 1) {
      await new Promise(setImmediate);
      gc();
    }
    const { text } = await session.run("?", { recoverTimeoutMs: 0 });
    console.log(JSON.stringify({ text, folder }));
  `;
  // Neither is closed, and the program ends.
  const ended = spawnSync(process.execPath, ["--expose-gc", "--input-type=module", "-e", program], {
    cwd: path.join(import.meta.dirname, ".."),
    timeout: 20_000,
  });
  expect({ status: ended.status, stderr: String(ended.stderr) }).toEqual({ status: 0, stderr: "" });
  const { text, folder } = JSON.parse(String(ended.stdout));
  expect(text).toBe("42");
  expect(fs.existsSync(folder)).toBe(false);
});

test("agents, models and files are there", async ({ startMock }) => {
  const mock = await startMock({ models: ["a/b"], files: true });
  await using client = await connect(mock.url);
  const { agent } = await client.agents.create({ body: { name: "scribe" } });
  const { agents } = await client.agents.list();
  expect(agents.map((it) => it.name)).toEqual(["scribe"]);
  await client.agents.delete({ agent_id: agent?.id as string });
  expect((await client.models.list()).available_handles).toEqual(["a/b"]);
  const file = path.join(mock.folder, "a.txt");
  fs.writeFileSync(file, "hello");
  expect((await client.files.read({ path: file })).content).toBe("hello");
  mock.assertReceived("read_file", { times: 1, fields: { path: file } });
  expect(() => mock.assertReceived("read_file", { fields: { path: "b" } })).toThrow('expected "b"');
  const { folder } = mock;
  await mock.close();
  expect(fs.existsSync(folder)).toBe(false);
});

test("it stops, and listens again at the same address", async ({ mock }) => {
  const client = await connect(mock.url);
  await client.session({ agentId: "a" });
  const lost = new Promise<void>((resolve) => {
    client.onState((state) => state === "reconnecting" && resolve());
  });
  await mock.stop();
  await mock.stop();
  await lost;
  expect(mock.openConnections).toBe(0);
  await expect(connect(mock.url)).rejects.toMatchObject({ code: "connection_failed" });
  await mock.startAgain();
  await mock.startAgain();
  await client.connect();
  const session = await client.session({ agentId: "a" });
  expect((await session.run("?")).text).toBe("Hello world");
  await client.close();
  await mock.close();
  await expect(mock.startAgain()).rejects.toMatchObject({
    code: "invalid_option",
    message: "the server cannot start again: the server is closed for good",
  });
});

test("a model that fails is tried again", async ({ startMock }) => {
  const mock = await startMock([script.turn({ text: ["4", "2"], retries: 1, cuts: [1] })]);
  await using client = await connect(mock.url);
  const session = await client.session({ agentId: "a" });
  const turn = session.send("?");
  const kinds: string[] = [];
  for await (const event of turn) kinds.push(event.type);
  expect((await turn).text).toBe("42");
  expect(kinds).toContain("run_withdrawn");
});

test("it waits without a limit, and for more than a month", async ({ mock }) => {
  await using client = await connect(mock.url);
  for (const timeoutMs of [Number.POSITIVE_INFINITY, 2 ** 32 + 1]) {
    const times = mock.received.length + 1;
    const came = mock.waitReceived("agent_list", times, { timeoutMs });
    await expect(Promise.race([came, pause(50)])).resolves.toBe("not yet");
    for (let sent = 0; sent < times; sent++) await client.agents.list();
    expect(await came).toBe(true);
  }
  expect(await mock.waitReceived("nothing", 1, { timeoutMs: 0.5 })).toBe(false);
  const nothing: object = { timeoutMs: null };
  expect(await mock.waitReceived("agent_list", 1, nothing)).toBe(true);
});

test.for<[given: unknown, words: string]>([
  [[{ text: 5 }], "turns[0].text: expected a string or a list of strings, got 5"],
  [[{}, { text: ["a", 1] }], "turns[1].text: expected a string or a list of strings, got "],
  [[{ usage: 5 }], "turns[0].usage: expected a list of two whole numbers"],
  [[{ usage: [1, 2, 3] }], "turns[0].usage: expected a list of two whole numbers"],
  [[{ delayMs: "fast" }], 'turns[0].delayMs: expected a whole number of milliseconds, got "fast"'],
  [[{ retries: 0.5 }], "turns[0].retries: expected a whole number, 0 or more, got 0.5"],
  [[{ hang: "yes" }], 'turns[0].hang: expected true or false, got "yes"'],
  [["x"], "turns[0]: expected an object, got string"],
  [[{ toolCalls: "Read" }], 'turns[0].toolCalls: expected a list, got "Read"'],
  [[{ toolCalls: [["Read", {}]] }], "turns[0].toolCalls[0].0: there is no such option"],
  [[{ toolCalls: [{}] }], "turns[0].toolCalls[0].name: expected a string, got undefined"],
  [{ generation: "both" }, 'generation: expected "single" or "split", got "both"'],
  [{ turns: { text: "a" } }, "turns: expected a list, got [object Object]"],
  [{ token: 5 }, "token: expected a string, got number"],
  [{ slowReaderLimits: { pauseBytes: -1 } }, "slowReaderLimits.pauseBytes: expected a whole"],
])("a mistake in a script is named by its field: %j", async ([given, words]) => {
  const failure = await MockServer.start(given as ScriptedTurn[]).catch((error) => error);
  expect(failure).toBeInstanceOf(InvalidOption);
  expect(failure.message).toContain(words);
});

test("null in a script is what is left out", async ({ startMock }) => {
  const turn: object = { text: null, usage: null, toolCalls: null, hang: null };
  const options: object = { turns: [turn], token: null, turnEvents: null };
  const mock = await startMock(options);
  await using client = await connect(mock.url);
  const session = await client.session({ agentId: "a" });
  expect((await session.run("?")).text).toBe("Hello world");
});

test("what cannot be used is refused by its name", async ({ mock }) => {
  const times = "times: expected a whole number";
  const time = "timeoutMs: expected milliseconds";
  const calls: [() => unknown, string][] = [
    [() => mock.assertReceived("input", { times: -1 }), times],
    [() => mock.assertReceived("input", { times: 0.5 }), times],
    [() => mock.assertReceived("input", { times: "1" as never }), times],
    [() => mock.waitReceived("input", -1), times],
    [() => mock.waitReceived("input", 2 ** 32), times],
    [() => mock.waitReceived("input", 1, { timeoutMs: -1 }), time],
    [() => mock.waitReceived("input", 1, { timeoutMs: Number.NaN }), time],
    [() => mock.waitDone({ timeoutMs: "5" as never }), time],
    [() => mock.waitDone(null as never), "options: expected an object"],
    [() => mock.cutConnection(-1), "index: expected a whole number"],
    [() => MockServer.start(null as never), "options: expected an object"],
    [
      () => MockServer.start({ answers: { list_models: 5 } }),
      "answers.list_models: expected an object or null, got 5",
    ],
    [
      () => MockServer.start({ answers: { watch_file: {} } }),
      "answers.watch_file: this command has no answer",
    ],
    [() => MockServer.play("f", "single", { stepTimeoutMs: -1 }), "stepTimeoutMs: expected"],
  ];
  for (const [call, message] of calls) {
    const failure: unknown = await Promise.resolve()
      .then(call)
      .catch((error) => error);
    expect(failure).toBeInstanceOf(InvalidOption);
    expect((failure as Error).message).toContain(message);
  }
});

test("what a test answers comes before what is built in", async ({ startMock }) => {
  const input = { accepted: false, error: "not today" };
  const mock = await startMock({ answers: { input, terminal_spawn: { pid: 7 } } });
  await using client = await connect(mock.url);
  const session = await client.session({ agentId: "a" });
  await expect(session.run("?")).rejects.toThrow("not today");
  expect((await client.terminals.open()).pid).toBe(7);
});

test("a call without arguments has none", async ({ startMock }) => {
  const mock = await startMock([script.turn({ toolCalls: [{ name: "Read" }] })]);
  await using client = await connect(mock.url);
  const session = await client.session({ agentId: "a" });
  const { toolCalls } = await session.run("?");
  expect(toolCalls.map((call) => call.arguments)).toEqual(["{}"]);
});

test("it starts in less than 50 ms", async () => {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const begun = performance.now();
    await using _mock = await MockServer.start();
    times.push(performance.now() - begun);
  }
  // A busy machine may take its time now and then, but not each time.
  expect(Math.min(...times)).toBeLessThan(50);
});
