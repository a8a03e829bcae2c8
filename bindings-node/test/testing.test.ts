import fs from "node:fs";
import path from "node:path";
import { test as base, expect } from "vitest";
import { connect } from "../dist/esm/index.js";
import { fixtures, MockServer, script } from "../dist/esm/testing.js";

const PAGE = fs.readFileSync(new URL("../../docs/testing.md", import.meta.url), "utf8");

const test = base.extend(fixtures);

test("the example of the documentation runs", async () => {
  const [, code] =
    /<!-- run: bindings-node.test.testing.test.ts -->\n```js\n(.*?)```/s.exec(PAGE) ?? [];
  if (code === undefined) throw new Error("no example");
  const file = new URL("./double.example.mjs", import.meta.url);
  const built = (name: string) => new URL(`../dist/esm/${name}.js`, import.meta.url).href;
  const text = code
    .replace('"@letta/app-client-native"', JSON.stringify(built("index")))
    .replace('"@letta/app-client-native/testing"', JSON.stringify(built("testing")));
  fs.writeFileSync(file, text);
  try {
    await import(/* @vite-ignore */ file.href);
  } finally {
    fs.rmSync(file);
  }
});

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
