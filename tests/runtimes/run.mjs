/**
 * The Node package in Bun and Deno: every recording is replayed, and a short program ends in each of its ways.
 *
 *   node tests/runtimes/run.mjs FOLDER
 *
 * FOLDER has them in its node_modules.
 */

import { execFile } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const LIMIT_MS = 60_000;
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PACKAGE = path.join(ROOT, "bindings-node");
const WAYS = JSON.parse(fs.readFileSync(path.join(PACKAGE, "test/lifecycle/ways.json"), "utf8"));
const { MockServer } = createRequire(path.join(PACKAGE, "package.json"))(
  "@letta/app-client-native/testing",
);
const bin = path.resolve(process.argv[2], "node_modules/.bin");
const RUNTIMES = { Bun: [path.join(bin, "bun")], Deno: [path.join(bin, "deno"), "run", "-A"] };

/** Runs a program to its end. What it prints, and that it ends with 0, is all that may come of it. */
async function output([command, ...words], ...program) {
  const options = { cwd: PACKAGE, timeout: LIMIT_MS, killSignal: "SIGKILL" };
  const { stdout, stderr } = await promisify(execFile)(command, [...words, ...program], options);
  if (stderr) throw new Error(stderr);
  return stdout.trim();
}

let failed = 0;

async function check(what, job) {
  try {
    console.log(`ok  ${what}${await job()}`);
  } catch (error) {
    console.error(`FAILED  ${what}\n${error.stdout ?? ""}${error.message}`);
    failed += 1;
  }
}

const mock = await MockServer.start();
for (const [name, runtime] of Object.entries(RUNTIMES)) {
  const version = await output([runtime[0]], "--version");
  await check(`${name} ${version.match(/\d[\d.]+/)[0]}, conformance: `, () =>
    output(runtime, "conformance.mjs", path.join(ROOT, "protocol/traces")),
  );
  for (const [way, said] of Object.entries(WAYS)) {
    await check(`${name}, ${way}`, async () => {
      const stdout = await output(runtime, "test/lifecycle/child.mjs", mock.url, way);
      if (stdout !== said) throw new Error(`it said ${JSON.stringify(stdout)}`);
      return "";
    });
  }
}
await mock.close();
process.exitCode = failed ? 1 : 0;
