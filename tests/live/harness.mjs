/**
 * Starts a real App Server and a scripted model for it, both on free loopback ports and in a
 * fresh folder. As a process (contract in README.md):
 *
 *     node tests/live/harness.mjs [--token TOKEN]
 *
 * or from JavaScript: `const live = await startLive(); … await live.close();`
 */

import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import fs from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { MODEL_ID, startModel } from "./model.mjs";
import { killRun } from "./processes.mjs";
import { lettaCommand } from "./setup.mjs";

const READY_TIMEOUT_MS = 60_000;
const LOG_TAIL_BYTES = 4_000;

/** @typedef {import("./supervisor.mjs").Report} Report */
/** @typedef {Extract<Report, {event: "started"}>} Started */
/**
 * @typedef {object} LiveInfo
 * @property {string} url WebSocket address without a path
 * @property {string} http the same for HTTP
 * @property {string} version version of the server
 * @property {string} model model handle to give to agents
 * @property {string} cwd the server's working directory, an empty project folder
 * @property {string} home the server's home folder
 * @property {string} log file with the server's output
 * @property {number} pid process id of the server
 */
/**
 * @typedef {object} Live
 * @property {LiveInfo} info
 * @property {Awaited<ReturnType<typeof startModel>>} llm the scripted model
 * @property {number} supervisorPid
 * @property {Promise<string>} ended resolves with the reason when the server ends by itself
 * @property {() => Promise<void>} close
 */

/** @param {string | undefined} token */
function serverArguments(token) {
  const args = ["server", "--listen", "ws://127.0.0.1:0"];
  if (token === undefined) return args;
  // The server compares hashes; so the token itself shows up in no process list.
  const digest = createHash("sha256").update(token).digest("hex");
  return [...args, "--ws-auth", "capability-token", "--ws-token-sha256", digest];
}

/** @param {string | undefined} log */
function tailOf(log) {
  try {
    return fs.readFileSync(log ?? "", "utf8").slice(-LOG_TAIL_BYTES);
  } catch {
    return "";
  }
}

/** Collects what the supervisor reports. */
class Supervised {
  /** @param {boolean} holdStdout */
  constructor(holdStdout) {
    this.child = fork(fileURLToPath(new URL("./supervisor.mjs", import.meta.url)), [], {
      detached: true,
      execArgv: [],
      // Holding standard output open tells whoever reads it when everything is cleaned up: at its end.
      stdio: ["ignore", holdStdout ? "inherit" : "ignore", "inherit", "ipc"],
    });
    /** @type {Started | undefined} */
    this.started = undefined;
    this.exited = once(this.child, "exit");
    /** @type {Promise<string>} */
    this.listening = new Promise((resolve) => {
      this.child.on("message", (message) => {
        const report = /** @type {Report} */ (message);
        if (report.event === "started") this.started = report;
        if (report.event === "listening") resolve(report.url);
      });
    });
    /** @type {Promise<string>} */
    this.ended = new Promise((resolve) => {
      this.child.on("message", (message) => {
        const report = /** @type {Report} */ (message);
        if (report.event === "ended") resolve(report.reason);
      });
      this.child.on("error", (error) => resolve(`supervisor: ${error.message}`));
      this.child.on("exit", () => resolve("the supervisor ended"));
    });
  }

  async stop() {
    this.child.ref();
    if (this.child.connected) this.child.disconnect();
    const [code] = await this.exited;
    // The supervisor was killed or failed: its work is done here.
    if (code !== 0 && this.started) {
      await killRun(this.started.run, this.started.pid);
      fs.rmSync(this.started.run, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

/**
 * Waits until the server can be used.
 * @param {Supervised} supervised
 * @param {string | undefined} token
 * @returns {Promise<{url: string, http: string, version: string}>}
 */
async function whenReady(supervised, token) {
  const url = await supervised.listening;
  const http = url.replace(/^ws:/, "http:");
  // Nobody announces readiness, so it has to be asked for.
  for (;;) {
    const answer = await fetch(`${http}/readyz`).catch(() => null);
    await answer?.arrayBuffer();
    if (answer?.status === 200) break;
    await delay(25);
  }
  const headers = token === undefined ? undefined : { authorization: `Bearer ${token}` };
  const answer = await fetch(`${http}/app-server-info`, { headers });
  if (!answer.ok) throw new Error(`GET /app-server-info: ${answer.status} ${await answer.text()}`);
  const info = /** @type {any} */ (await answer.json());
  return { url, http, version: info.letta_code_version };
}

/**
 * With `args`, those of a `letta` command, the server is left to whoever gave them once it listens.
 * @param {{token?: string, holdStdout?: boolean, args?: string[]}} [options]
 * @returns {Promise<Live>}
 */
export async function startLive({ token, holdStdout = false, args } = {}) {
  const command = lettaCommand();
  const llm = await startModel();
  const supervised = new Supervised(holdStdout);
  const close = async () => {
    await supervised.stop();
    await llm.close();
  };
  const timeout = new AbortController();
  try {
    /** @type {import("./supervisor.mjs").StartOrder} */
    const order = { ...command, args: args ?? serverArguments(token), modelUrl: llm.url };
    supervised.child.send(order);
    const ready = await Promise.race([
      args === undefined
        ? whenReady(supervised, token)
        : supervised.listening.then((url) => ({
            url,
            http: url.replace(/^ws:/, "http:"),
            version: "",
          })),
      supervised.ended.then((reason) => {
        throw new Error(`the server ended: ${reason}`);
      }),
      delay(READY_TIMEOUT_MS, undefined, { signal: timeout.signal }).then(() => {
        throw new Error(`the server was not ready after ${READY_TIMEOUT_MS / 1000} s`);
      }),
    ]);
    const { home, cwd, log, pid } = /** @type {Started} */ (supervised.started);
    // A test that forgets to close must not hang: nothing of this keeps the process alive, and
    // the supervisor cleans up after it.
    supervised.child.unref();
    supervised.child.channel?.unref();
    llm.unref();
    return {
      info: {
        url: ready.url,
        http: ready.http,
        version: ready.version,
        model: `lmstudio/${MODEL_ID}`,
        cwd,
        home,
        log,
        pid,
      },
      llm,
      supervisorPid: /** @type {number} */ (supervised.child.pid),
      ended: supervised.ended,
      close,
    };
  } catch (error) {
    const tail = tailOf(supervised.started?.log);
    await close();
    throw new Error(
      `${error instanceof Error ? error.message : error}\n--- end of the server's output ---\n${tail}`,
    );
  } finally {
    timeout.abort();
  }
}

/** Runs until standard input ends, a signal comes, or the server ends by itself. */
async function main() {
  const { values } = parseArgs({ options: { token: { type: "string" } } });
  // Watched from the start: a caller that gives up while the server starts must not have to wait for it.
  const asked = new Promise((resolve) => {
    for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]))
      process.once(signal, resolve);
    process.stdin.once("end", resolve).once("error", resolve).resume();
  }).then(() => null);
  const starting = startLive({ token: values.token, holdStdout: true });
  const live = await Promise.race([starting, asked]);
  // Leaving is enough: the supervisor ends with this process.
  if (live === null) process.exit(0);
  console.log(JSON.stringify(live.info));
  const reason = await Promise.race([asked, live.ended]);
  const tail = reason === null ? "" : tailOf(live.info.log);
  await live.close();
  if (reason !== null) {
    console.error(`live server: the server ended: ${reason}\n${tail}`);
    process.exit(1);
  }
  process.exit(0);
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(`live server: ${error instanceof Error ? error.message : error}`);
    process.exit(1);
  });
}
