import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { connect } from "@letta/app-client-native";
import { expect, it, onTestFinished, vi } from "vitest";
import { connected, say, startMock, startRuntime, thrown } from "./helpers.js";

it("names the missing binary and its remedy", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "app-client-"));
  onTestFinished(() => fs.rmSync(folder, { recursive: true }));
  const loader = path.join(folder, "native.cjs");
  fs.copyFileSync(new URL("../dist/cjs/native.cjs", import.meta.url), loader);
  const require = createRequire(import.meta.url);
  const { message } = thrown(() => require(loader)) as Error;
  const platform = `@letta/app-client-native-${process.platform}-${process.arch}`;
  expect(message).toContain(`npm i ${platform}`);
});

it("loads the same add-on from ES modules and CommonJS", async () => {
  const require = createRequire(import.meta.url);
  const commonjs = require("@letta/app-client-native") as { connect: typeof connect };
  const mock = await startMock();
  const clients = [await connect(mock.url), await commonjs.connect(mock.url)];
  const infos = await Promise.all(clients.map((client) => client.info()));
  expect(infos.map(({ success }) => success)).toEqual([true, true]);
  await Promise.all(clients.map((client) => client.close()));
});

it("works under fake timers", async () => {
  vi.useFakeTimers();
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const client = await connected(await startMock([{ text: "42" }]));
  const runtime = await startRuntime(client);
  expect((await client.runTurn({ runtime, payload: say("?") })).text).toBe("42");
});

it("keeps up with a long answer", { timeout: 30_000 }, async () => {
  const count = 20_000;
  const mock = await startMock([{ text: Array.from({ length: count }, () => "x") }]);
  const client = await connected(mock);
  const runtime = await startRuntime(client);
  let deltas = 0;
  client.onMessage((message) => {
    if (message.type === "stream_delta") deltas += 1;
  });
  const { text } = await client.runTurn({ runtime, payload: say("?") });
  expect(text).toHaveLength(count);
  expect(deltas + client.stats.dropped).toBeGreaterThanOrEqual(count);
});
