/** TypeScript programs of readers: compiled as strictly as they would, and run in a process of their own. */

import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { MockServer, ScriptedTurn } from "@letta/app-client-native/testing";
import { expect, onTestFinished } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const EXAMPLES = path.join(ROOT, "..", "examples", "typescript");
/** What programs may import, and where it is. */
const PACKAGES = {
  "@letta/app-client-native": ROOT,
  "@types/node": path.join(ROOT, "node_modules/@types/node"),
  zod: path.join(ROOT, "node_modules/zod"),
};

/** The programs among the examples, by file name. */
export function exampleSources(): Record<string, string> {
  const names = fs.readdirSync(EXAMPLES).filter((name) => name.endsWith(".ts"));
  return Object.fromEntries(
    names.map((name) => [name, fs.readFileSync(path.join(EXAMPLES, name), "utf8")]),
  );
}

/**
 * Compiles programs in a folder that has the package installed, with the settings of the examples; gives
 * the folder, which the caller removes.
 */
export async function compiled(sources: Record<string, string>): Promise<string> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "app-client-programs-"));
  for (const [name, target] of Object.entries(PACKAGES)) {
    const link = path.join(folder, "node_modules", name);
    fs.mkdirSync(path.dirname(link), { recursive: true });
    fs.symlinkSync(target, link, "junction");
  }
  for (const [name, text] of Object.entries(sources)) {
    fs.writeFileSync(path.join(folder, name), text);
  }
  fs.copyFileSync(path.join(EXAMPLES, "tsconfig.json"), path.join(folder, "tsconfig.json"));
  fs.writeFileSync(path.join(folder, "package.json"), '{ "type": "module" }\n');
  const tsc = path.join(ROOT, "node_modules/typescript/bin/tsc");
  try {
    await promisify(execFile)(process.execPath, [tsc, "-p", folder, "--noEmitOnError"]);
  } catch (error) {
    fs.rmSync(folder, { recursive: true });
    throw new Error(`does not compile:\n${(error as { stdout?: string }).stdout}`);
  }
  return folder;
}

/** Starts a compiled program, which ends with the test at the latest. */
export function start(
  folder: string,
  name: string,
  env: Record<string, string | undefined> = {},
): ChildProcessWithoutNullStreams {
  const program = path.join(folder, `${name}.js`);
  const child = spawn(process.execPath, [program], {
    cwd: folder,
    env: { ...process.env, LETTA_MODEL: "test/model", ...env },
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  return child;
}

/** Runs a compiled program to its end, which has to be a good one; gives what it printed. */
export async function run(
  folder: string,
  name: string,
  mock: MockServer | undefined,
  { stdin = "", ...env }: Record<string, string> = {},
): Promise<{ stdout: string; stderr: string }> {
  const child = start(folder, name, { LETTA_URL: mock?.url, ...env });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  child.stdin.end(stdin);
  const [code, signal] = await once(child, "close");
  expect({ code, signal, stderr: code === 0 ? "" : stderr }).toEqual({
    code: 0,
    signal: null,
    stderr: "",
  });
  return { stdout, stderr };
}

/** Puts a command `letta` into the folder, which starts a scripted server; gives the environment for it. */
export function ownServer(folder: string, turns: ScriptedTurn[]): Record<string, string> {
  const standIn = path.join(ROOT, "test/programs/server.mjs");
  return { ...ownCommand(folder, standIn), TURNS: JSON.stringify(turns) };
}

/** Puts a command `letta` into the folder, which is a script of Node's; gives the environment for it. */
export function ownCommand(folder: string, standIn: string): Record<string, string> {
  const words = `#!/bin/sh\nexec '${process.execPath}' '${standIn}' "$@"\n`;
  fs.writeFileSync(path.join(folder, "letta"), words, { mode: 0o755 });
  return { PATH: [folder, process.env.PATH].join(path.delimiter) };
}
