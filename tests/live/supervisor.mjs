/**
 * Runs one App Server in a fresh folder and removes every trace of it when its harness is gone.
 *
 * A harness that is killed with SIGKILL cannot clean up. This process can: it is a child of the
 * harness in a session of its own (no terminal signal reaches it) and holds one end of a message
 * channel. The kernel closes the channel whenever the harness ends, however it ends, and that
 * ("disconnect") is the order to kill and remove everything. There is no other way to stop it
 * than to let go of the channel.
 *
 * Started by harness.mjs only. Receives one StartOrder, sends Reports.
 */

import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { killRun, MARKER } from "./processes.mjs";

/** @typedef {{node: string, script: string, args: string[], modelUrl: string}} StartOrder */
/**
 * @typedef {{event: "started", run: string, home: string, cwd: string, log: string, pid: number}
 *   | {event: "listening", url: string}
 *   | {event: "ended", reason: string}} Report
 */

/** @type {string | null} */
let run = null;
/** @type {number | null} */
let serverPid = null;

/** @param {Report} report */
function report(report) {
  // The harness may leave at any moment; then there is nobody to tell.
  if (process.connected) process.send?.(report, undefined, undefined, () => {});
}

/** @param {string} folder @param {string} modelUrl @returns {NodeJS.ProcessEnv} */
function environment(folder, modelUrl) {
  return {
    PATH: process.env.PATH,
    LANG: "C.UTF-8",
    TERM: "dumb",
    HOME: path.join(folder, "home"),
    TMPDIR: path.join(folder, "tmp"),
    LETTA_LOCAL_BACKEND_EXPERIMENTAL: "1",
    LETTA_LOCAL_BACKEND_DIR: path.join(folder, "backend"),
    LMSTUDIO_BASE_URL: modelUrl,
    DISABLE_AUTOUPDATER: "1",
    LETTA_CODE_TELEM: "0",
    DO_NOT_TRACK: "1",
    [MARKER]: folder,
  };
}

/** @param {StartOrder} order */
function start(order) {
  // The real path, because the server reports its directories that way.
  run = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "letta-live-")));
  for (const name of ["home", "tmp", "backend", "project"]) fs.mkdirSync(path.join(run, name));
  const home = path.join(run, "home");
  const cwd = path.join(run, "project");
  const log = path.join(run, "server.log");
  // Memory is kept in git repositories, and git refuses to commit for nobody.
  fs.writeFileSync(
    path.join(home, ".gitconfig"),
    "[user]\n\tname = Live Test\n\temail = live@example.invalid\n[init]\n\tdefaultBranch = main\n",
  );
  const logFile = fs.openSync(log, "a");
  const server = spawn(order.node, [order.script, ...order.args], {
    cwd,
    env: environment(run, order.modelUrl),
    detached: true,
    stdio: ["ignore", "pipe", logFile],
  });
  server.on("error", (error) => report({ event: "ended", reason: error.message }));
  server.on("exit", (code, signal) =>
    report({ event: "ended", reason: signal ? `signal ${signal}` : `exit code ${code}` }),
  );
  if (server.pid === undefined) return;
  serverPid = server.pid;
  report({ event: "started", run, home, cwd, log, pid: serverPid });

  // The server chooses its port itself, so that two harnesses can never meet on one; it says which.
  let head = "";
  let listening = false;
  server.stdout?.setEncoding("utf8").on("data", (text) => {
    fs.writeSync(logFile, text);
    if (listening) return;
    head += text;
    const match = /^Listening on (ws:\/\/\S+)\s/m.exec(head);
    if (!match) return;
    listening = true;
    report({ event: "listening", url: match[1] });
  });
}

async function finish() {
  let code = 0;
  try {
    if (run !== null) {
      await killRun(run, serverPid);
      fs.rmSync(run, { recursive: true, force: true, maxRetries: 5 });
    }
  } catch (error) {
    console.error(
      `live server: clean-up failed: ${error instanceof Error ? error.message : error}`,
    );
    code = 1;
  }
  process.exit(code);
}

for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]))
  process.on(signal, () => {});
process.on("disconnect", finish);
process.once("message", (order) => {
  try {
    start(/** @type {StartOrder} */ (order));
  } catch (error) {
    report({ event: "ended", reason: error instanceof Error ? error.message : String(error) });
  }
});
