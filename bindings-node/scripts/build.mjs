/**
 * Compiles `ts/` to CommonJS, and writes ES modules that hand on what that exports. There is one copy of all values: a
 * program and a library of it, of which one is made of ES modules and the other is not, have the same classes.
 */

import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
process.chdir(root);
fs.rmSync("dist", { recursive: true, force: true });

const tsc = ["node_modules/typescript/bin/tsc", "-p", "tsconfig.cjs.json"];
const { status } = spawnSync(process.execPath, tsc, { stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);
fs.copyFileSync("ts/binding.d.cts", "dist/cjs/binding.d.cts");
typed("cjs", "commonjs");

fs.mkdirSync("dist/esm");
typed("esm", "module");
for (const entry of ["index", "testing"]) wrap(entry);

function typed(format, type) {
  fs.writeFileSync(`dist/${format}/package.json`, `${JSON.stringify({ type })}\n`);
}

/** An ES module for an entry of the package; its names are written out, so that they are known before it runs. */
function wrap(entry) {
  const from = JSON.stringify(`../cjs/${entry}.js`);
  const names = namesOf(fs.readFileSync(`dist/cjs/${entry}.js`, "utf8"));
  fs.writeFileSync(
    `dist/esm/${entry}.js`,
    `export {\n  ${names.join(",\n  ")},\n} from ${from};\n`,
  );
  fs.writeFileSync(`dist/esm/${entry}.d.ts`, `export * from ${from};\n`);
}

/** What a module exports, by the forms in which TypeScript writes it. */
function namesOf(text) {
  const found = text.matchAll(/^exports\.(\w+) = |^Object\.defineProperty\(exports, "(\w+)"/gm);
  const names = new Set(Array.from(found, ([, assigned, handedOn]) => assigned ?? handedOn));
  names.delete("__esModule");
  return [...names].sort();
}
