/**
 * Finds and loads the add-on. CommonJS, because only `require` loads add-ons.
 *
 * A binary beside `package.json` (a build from source) comes first, then the package of the platform.
 */

import fs = require("node:fs");
import path = require("node:path");
import type binding = require("./binding.cjs");

const PACKAGE = "@letta/app-client-native";

/** The start of a program, where Linux reads with what to load it. */
function startOf(program: string): Buffer {
  const start = Buffer.alloc(4096);
  try {
    const file = fs.openSync(program, "r");
    try {
      fs.readSync(file, start);
    } finally {
      fs.closeSync(file);
    }
  } catch {
    // One that may be run but not be read says nothing of itself.
  }
  return start;
}

/**
 * Linux has two C libraries, each with a loader of its own. A report of the process would tell which one
 * it is as well, but looks up the names of all open sockets on the network.
 */
function abi(): string {
  if (process.platform === "win32") return "-msvc";
  if (process.platform !== "linux") return "";
  return startOf(process.execPath).includes("/ld-musl-") ? "-musl" : "-gnu";
}

function load(): typeof binding {
  const target = `${process.platform}-${process.arch}${abi()}`;
  const local = path.join(__dirname, "..", "..", `app-client.${target}.node`);
  const name = fs.existsSync(local) ? local : `${PACKAGE}-${target}`;
  try {
    return require(name);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(
      `${PACKAGE} has no binary for ${target}: neither ${local} nor the package ${PACKAGE}-${target} ` +
        `could be loaded (${why}). Package managers sometimes skip optional dependencies; ` +
        `install it with: npm i ${PACKAGE}-${target}`,
      { cause: error },
    );
  }
}

const loaded = load();

export const Connection: typeof binding.Connection = loaded.Connection;
export type Connection = binding.Connection;
export const MockServer: typeof binding.MockServer = loaded.MockServer;
export type MockServer = binding.MockServer;
export const ServerStart: typeof binding.ServerStart = loaded.ServerStart;
export type Server = binding.Server;
export const ServerLog: typeof binding.ServerLog = loaded.ServerLog;
export type ServerLog = binding.ServerLog;
export const DirectoryChange: typeof binding.DirectoryChange = loaded.DirectoryChange;
export const Submission: typeof binding.Submission = loaded.Submission;
export type Submission = binding.Submission;
export const submissionTool: typeof binding.submissionTool = loaded.submissionTool;
export const checkUrl: typeof binding.checkUrl = loaded.checkUrl;
export const checkDecision: typeof binding.checkDecision = loaded.checkDecision;
export const checkToolName: typeof binding.checkToolName = loaded.checkToolName;
export const checkToolArguments: typeof binding.checkToolArguments = loaded.checkToolArguments;
export const checkTurnOptions: typeof binding.checkTurnOptions = loaded.checkTurnOptions;
export const deniedByRule: typeof binding.deniedByRule = loaded.deniedByRule;
export const allowedByNoRule: typeof binding.allowedByNoRule = loaded.allowedByNoRule;
export const approverFailed: typeof binding.approverFailed = loaded.approverFailed;
export const keptFrames: typeof binding.keptFrames = loaded.keptFrames;
export const messageTypes: typeof binding.messageTypes = loaded.messageTypes;
export const requestIdRule: typeof binding.requestIdRule = loaded.requestIdRule;
export const errorCodes: typeof binding.errorCodes = loaded.errorCodes;
export const outcomeError: typeof binding.outcomeError = loaded.outcomeError;
export const cli: typeof binding.cli = loaded.cli;
export const replayEvents: typeof binding.replayEvents = loaded.replayEvents;
export type NativeOptions = binding.NativeOptions;
export type NativeReconnect = binding.NativeReconnect;
export type NativeRecord = binding.NativeRecord;
export type NativeServerOptions = binding.NativeServerOptions;
export type NativeTurnOptions = binding.NativeTurnOptions;
export type LongText = binding.LongText;
export type TakenEvents = binding.TakenEvents;
