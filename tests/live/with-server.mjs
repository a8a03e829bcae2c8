/**
 * Starts the real App Server, runs programs against it one after the other, and stops it:
 *
 *     node tests/live/with-server.mjs PROGRAM [ARGUMENTS] [-- PROGRAM [ARGUMENTS]]…
 *
 * Each program finds LETTA_URL, LETTA_VERSION and LETTA_MODEL in its environment. The first one
 * that fails ends the run with its exit code.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";

import { startLive } from "./harness.mjs";

/** @type {string[][]} */
const programs = [[]];
for (const word of process.argv.slice(2)) {
  if (word === "--") programs.push([]);
  else programs.at(-1)?.push(word);
}
if (programs.some((program) => program.length === 0)) {
  console.error("usage: with-server.mjs PROGRAM [ARGUMENTS] [-- PROGRAM [ARGUMENTS]]…");
  process.exit(2);
}

const live = await startLive();
const { url, version, model } = live.info;
const env = { ...process.env, LETTA_URL: url, LETTA_VERSION: version, LETTA_MODEL: model };
try {
  for (const [command, ...args] of programs) {
    console.log(`\n$ ${[command, ...args].join(" ")}`);
    const child = spawn(command, args, { stdio: "inherit", env });
    const [code, signal] = await once(child, "exit");
    if (code !== 0) {
      console.error(`${command} ended with ${signal ?? code}`);
      process.exitCode = code ?? 1;
      break;
    }
  }
} finally {
  await live.close();
}
