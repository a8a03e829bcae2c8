/**
 * Finds and loads the add-on. CommonJS, because only `require` loads add-ons.
 *
 * A binary beside `package.json` (a build from source) comes first, then the package of the platform.
 */

import fs = require("node:fs");
import path = require("node:path");

import { createRequire } from "node:module";

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

/** The binary of a build from source, where this file is in its package still. */
function built(target: string): string | undefined {
  // A bundler may have made another file of it, and an ES module has no folder.
  if (typeof __dirname !== "string") return undefined;
  const file = path.join(__dirname, "..", "..", `app-client.${target}.node`);
  return fs.existsSync(file) ? file : undefined;
}

/** Loads a binary. A `require` of a name that is made here would stop bundlers; this one they leave alone. */
const open = (file: string): typeof binding => createRequire(__filename)(file);

/**
 * Loads the package of a platform, those of `napi.targets`. Each stands here in full, so that bundlers and what gathers
 * the files of a program find it, and in a `try`, so that they bear that the others are not there.
 */
function installed(target: string): typeof binding {
  try {
    switch (target) {
      case "linux-x64-gnu":
        return require("@letta/app-client-native-linux-x64-gnu");
      case "linux-arm64-gnu":
        return require("@letta/app-client-native-linux-arm64-gnu");
      case "linux-x64-musl":
        return require("@letta/app-client-native-linux-x64-musl");
      case "linux-arm64-musl":
        return require("@letta/app-client-native-linux-arm64-musl");
      case "darwin-x64":
        return require("@letta/app-client-native-darwin-x64");
      case "darwin-arm64":
        return require("@letta/app-client-native-darwin-arm64");
      case "win32-x64-msvc":
        return require("@letta/app-client-native-win32-x64-msvc");
      default:
        throw new Error("there is none for this platform");
    }
  } catch (error) {
    throw missing(target, `the package ${PACKAGE}-${target}`, error);
  }
}

function missing(target: string, what: string, error: unknown): Error {
  const why = error instanceof Error ? error.message : String(error);
  return new Error(
    `${PACKAGE} has no binary for ${target}: ${what} could not be loaded (${why}). ` +
      `Package managers sometimes skip optional dependencies; install it with: npm i ${PACKAGE}-${target}. ` +
      `A bundler has to leave ${PACKAGE} as it is (external, in Next.js serverExternalPackages)`,
    { cause: error },
  );
}

function load(): typeof binding {
  const target = `${process.platform}-${process.arch}${abi()}`;
  const local = built(target);
  if (local === undefined) return installed(target);
  try {
    return open(local);
  } catch (error) {
    throw missing(target, local, error);
  }
}

const loaded = load();

export const Connection: typeof binding.Connection = loaded.Connection;
export type Connection = binding.Connection;
export const MockServer: typeof binding.MockServer = loaded.MockServer;
export type MockServer = binding.MockServer;
export const ServerStart: typeof binding.ServerStart = loaded.ServerStart;
export type Server = binding.Server;
export const ServerEnd: typeof binding.ServerEnd = loaded.ServerEnd;
export type ServerEnd = binding.ServerEnd;
export const Doorbell: typeof binding.Doorbell = loaded.Doorbell;
export type Doorbell = binding.Doorbell;
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
export const nullableParameters: typeof binding.nullableParameters = loaded.nullableParameters;
export const checkTurnOptions: typeof binding.checkTurnOptions = loaded.checkTurnOptions;
export const deniedByRule: typeof binding.deniedByRule = loaded.deniedByRule;
export const allowedByNoRule: typeof binding.allowedByNoRule = loaded.allowedByNoRule;
export const approverFailed: typeof binding.approverFailed = loaded.approverFailed;
export const keptFrames: typeof binding.keptFrames = loaded.keptFrames;
export const messageTypes: typeof binding.messageTypes = loaded.messageTypes;
export const requestIdRule: typeof binding.requestIdRule = loaded.requestIdRule;
/** The codes of all kinds of error, as the engine lists them, in the order of the documentation. */
export const errorCodes: typeof binding.errorCodes = loaded.errorCodes;
export const outcomeError: typeof binding.outcomeError = loaded.outcomeError;
export const refusal: typeof binding.refusal = loaded.refusal;
export const cli: typeof binding.cli = loaded.cli;
export const replayEvents: typeof binding.replayEvents = loaded.replayEvents;
export type NativeOptions = binding.NativeOptions;
export type NativeReconnect = binding.NativeReconnect;
export type NativeRecord = binding.NativeRecord;
export type NativeServerOptions = binding.NativeServerOptions;
export type NativeTurnOptions = binding.NativeTurnOptions;
export type LongText = binding.LongText;
export type TakenEvents = binding.TakenEvents;
