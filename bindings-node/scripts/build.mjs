/** Compiles `ts/` twice, to ES modules and to CommonJS, each with its own type files. */

import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
process.chdir(root);
fs.rmSync("dist", { recursive: true, force: true });

for (const [format, type] of [
  ["esm", "module"],
  ["cjs", "commonjs"],
]) {
  const tsc = ["node_modules/typescript/bin/tsc", "-p", `tsconfig.${format}.json`];
  const { status } = spawnSync(process.execPath, tsc, { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
  fs.writeFileSync(`dist/${format}/package.json`, `${JSON.stringify({ type })}\n`);
  fs.copyFileSync("ts/binding.d.cts", `dist/${format}/binding.d.cts`);
}
