import { execFile } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { connect } from "@letta/app-client-native";
import { expect, it, onTestFinished, vi } from "vitest";
import { connected, say, startMock, startRuntime, thrown } from "./helpers.js";

function folder(): string {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), "app-client-"));
  onTestFinished(() => fs.rmSync(made, { recursive: true }));
  return made;
}

/** What the loader says where there is no binary. */
function complaint(): string {
  const loader = path.join(folder(), "native.cjs");
  fs.copyFileSync(new URL("../dist/cjs/native.cjs", import.meta.url), loader);
  const require = createRequire(import.meta.url);
  return (thrown(() => require(loader)) as Error).message;
}

it("names the missing binary and its remedy", () => {
  const platform = `@letta/app-client-native-${process.platform}-${process.arch}`;
  expect(complaint()).toContain(`npm i ${platform}`);
});

/** What packages of platforms are called, by the names that Rust has for those. */
const PLATFORMS: Record<string, string> = {
  "x86_64-unknown-linux-gnu": "linux-x64-gnu",
  "aarch64-unknown-linux-gnu": "linux-arm64-gnu",
  "x86_64-unknown-linux-musl": "linux-x64-musl",
  "aarch64-unknown-linux-musl": "linux-arm64-musl",
  "x86_64-apple-darwin": "darwin-x64",
  "aarch64-apple-darwin": "darwin-arm64",
  "x86_64-pc-windows-msvc": "win32-x64-msvc",
};

it("requires the packages of all platforms by names that stand in it, and nothing else", () => {
  const loader = fs.readFileSync(new URL("../dist/cjs/native.cjs", import.meta.url), "utf8");
  const { napi } = JSON.parse(
    fs.readFileSync(new URL("../package.json", import.meta.url), "utf8"),
  ) as { napi: { targets: string[] } };
  const required = Array.from(loader.matchAll(/\brequire\(([^)]*)\)/g), ([, name]) => name);
  const own = ["fs", "path", "module"].map((name) => `"node:${name}"`);
  expect(required).toEqual([
    ...own,
    ...napi.targets.map((name) => `"@letta/app-client-native-${PLATFORMS[name]}"`),
  ]);
});

it("is no module of a bundler's: it says so, and does not need the folder that modules have", () => {
  const loader = fs.readFileSync(new URL("../dist/cjs/native.cjs", import.meta.url), "utf8");
  const bundled = new Function("exports", "require", "__dirname", loader);
  const require = (name: string) => {
    if (name.startsWith("node:")) return createRequire(import.meta.url)(name);
    throw new Error(`Dynamic require of "${name}" is not supported`);
  };
  const { message } = thrown(() => bundled({}, require, undefined)) as Error;
  expect(message).toContain("Dynamic require of");
  expect(message).toContain("A bundler has to leave @letta/app-client-native as it is");
});

it.runIf(process.platform === "linux")("tells the C libraries of Linux apart", () => {
  const real = process.execPath;
  onTestFinished(() => {
    process.execPath = real;
  });
  const libraries = { "/lib/ld-musl-x86_64.so.1": "musl", "/lib64/ld-linux-x86-64.so.2": "gnu" };
  for (const [loader, library] of Object.entries(libraries)) {
    process.execPath = path.join(folder(), "node");
    expect(complaint()).toContain(`-${process.arch}-gnu`);
    fs.writeFileSync(process.execPath, `\x7fELF${"\0".repeat(800)}${loader}\0`);
    expect(complaint()).toContain(
      `npm i @letta/app-client-native-linux-${process.arch}-${library}`,
    );
  }
});

/** A report of the process looks up the names of all open sockets, which may take a minute. */
it("is loaded without a look at the network", () => {
  const report = vi.spyOn(process.report as NodeJS.ProcessReport, "getReport");
  onTestFinished(() => report.mockRestore());
  complaint();
  expect(report).not.toHaveBeenCalled();
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

it.each(["", "/testing"])("has one copy of its values for both: %s", async (entry) => {
  const name = `@letta/app-client-native${entry}`;
  const required = createRequire(import.meta.url)(name) as Record<string, unknown>;
  const imported = (await import(name)) as Record<string, unknown>;
  expect(Object.keys(imported).sort()).toEqual(Object.keys(required).sort());
  for (const [each, value] of Object.entries(required)) expect(imported[each]).toBe(value);
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

it.each([
  ["require", "before"],
  ["require", "after"],
  ["import", "before"],
  ["import", "after"],
])("works under the fake timers of node:test: %s, loaded %s", async (load, when) => {
  const program = fileURLToPath(new URL("lifecycle/faketimers.cjs", import.meta.url));
  // Where something waits for a timer, it is killed, or ends with nothing to wait for.
  const child = await promisify(execFile)(process.execPath, [program, load, when], {
    timeout: 10_000,
  });
  expect(child.stdout).toBe("42 42 42 read");
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
