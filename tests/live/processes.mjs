/**
 * Finding and ending every process of one run.
 *
 * Killing the server's process group is not enough: the server gives the commands it runs groups
 * of their own, and terminals even sessions of their own. So a process belongs to a run when it
 * is in the server's group, descends from the server, or (Linux) carries the run's marker in its
 * environment, which also finds those whose parent is already gone.
 */

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** Environment variable that marks the processes of a run; its value is the run's folder. */
export const MARKER = "LETTA_LIVE_RUN";

/** @typedef {{pid: number, parent: number, group: number, marked: boolean}} Entry */

/** @param {string} run @returns {Entry[]} */
function linuxTable(run) {
  const entries = [];
  for (const name of fs.readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = fs.readFileSync(`/proc/${name}/stat`, "latin1");
      // The command name in parentheses may contain anything, so the fields are counted from its end.
      const [state, parent, group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (state === "Z" || state === "X") continue;
      const environment = readEnvironment(name);
      entries.push({
        pid: Number(name),
        parent: Number(parent),
        group: Number(group),
        marked: `\0${environment}`.includes(`\0${MARKER}=${run}\0`),
      });
    } catch {
      // It ended while the table was read.
    }
  }
  return entries;
}

/** Processes of other users do not show their environment. @param {string} pid */
function readEnvironment(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch {
    return "";
  }
}

/** @returns {Entry[]} */
function psTable() {
  const output = execFileSync("ps", ["-axo", "pid=,ppid=,pgid=,state="], { encoding: "utf8" });
  return output
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields.length === 4 && !fields[3].startsWith("Z"))
    .map(([pid, parent, group]) => ({
      pid: Number(pid),
      parent: Number(parent),
      group: Number(group),
      marked: false,
    }));
}

/**
 * The living processes of a run.
 * @param {string} run the run's folder
 * @param {number | null} serverPid also the id of the server's process group
 * @returns {number[]}
 */
export function processesOf(run, serverPid) {
  const table = process.platform === "linux" ? linuxTable(run) : psTable();
  const found = new Set(
    table
      .filter((entry) => entry.marked || entry.group === serverPid || entry.pid === serverPid)
      .map((entry) => entry.pid),
  );
  for (let size = -1; size !== found.size; ) {
    size = found.size;
    for (const entry of table) if (found.has(entry.parent)) found.add(entry.pid);
  }
  found.delete(process.pid);
  return [...found];
}

/**
 * Kills until nothing is left, because a process may start another one between the look and the
 * kill. There is nothing to save, so nobody is asked politely first.
 * @param {string} run
 * @param {number | null} serverPid
 */
export async function killRun(run, serverPid) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const left = processesOf(run, serverPid);
    if (left.length === 0) return;
    if (Date.now() > deadline)
      throw new Error(`processes that cannot be killed: ${left.join(" ")}`);
    for (const pid of left) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Already gone.
      }
    }
    // Nobody reports the end of a process that is not one's own child.
    await delay(5);
  }
}
