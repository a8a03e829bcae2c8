/** Plays recordings of one connection through the public client; `conformance.mjs` plays them all. */

import { readdirSync, readFileSync } from "node:fs";
import type { AppServerClient, InputCommand, RunTurnCommand } from "@letta/app-client-native";
import { type Generation, MockServer } from "@letta/app-client-native/testing";
import { onTestFinished } from "vitest";
import { collected, connected } from "./helpers.js";

interface Line {
  event?: string;
  dir?: "send" | "recv";
  frame?: { type: string; request_id?: string };
}

/** The recordings, and what their inputs came to. */
export const TRACES = new URL("../../protocol/traces/", import.meta.url);

/** All recordings. */
export function traceFiles(): URL[] {
  return ["single/", "split/"].flatMap((generation) => {
    const folder = new URL(generation, TRACES);
    return readdirSync(folder).map((name) => new URL(name, folder));
  });
}

/** The lines of a recording. */
export function linesOf(path: string | URL): Line[] {
  const text = readFileSync(path, "utf8").trim();
  return text.split("\n").map((line) => JSON.parse(line) as Line);
}

const isMessage = (frame: object): frame is InputCommand =>
  (frame as InputCommand).type === "input" &&
  (frame as InputCommand).payload.kind === "create_message";

/** Whether a line is an input that makes a turn. */
export const isInput = ({ dir, frame }: Line) =>
  dir === "send" && frame !== undefined && isMessage(frame);

/** What is done with an input that makes a turn. */
export type Start<T> = (client: AppServerClient, command: RunTurnCommand) => Promise<T>;

/** A call without a handle. */
export const run = (client: AppServerClient, command: RunTurnCommand) =>
  client.runTurn(command, { approvals: "wait" });

/** A handle, followed to its end. */
export const follow = (client: AppServerClient, command: RunTurnCommand) =>
  collected(client.sendTurn(command, { approvals: "wait" }));

/**
 * Sends what the recorded client sent, inputs as turns, each frame once everything that came before
 * it in the recording has come.
 */
export async function played<T>(path: string, generation: Generation, start: Start<T>) {
  const mock = await MockServer.play(path, generation);
  onTestFinished(() => mock.close());
  // A recording that is over has no other connection.
  const client = await connected(mock, { reconnect: false });
  let [seen, wanted] = [0, 0];
  let come = () => {};
  client.onMessage(() => {
    seen += 1;
    if (seen >= wanted) come();
  });
  const turns: Promise<T>[] = [];
  for (const { dir, frame } of linesOf(path)) {
    if (dir === "recv" && frame) wanted += 1;
    if (dir !== "send" || !frame) continue;
    if (seen < wanted) {
      await new Promise<void>((resolve) => {
        come = resolve;
      });
    }
    if (!isMessage(frame)) {
      client.sendRaw(frame);
      continue;
    }
    // The mock answers an id that the recording lacks, with a frame that it lacks as well.
    if (generation === "single" && frame.request_id === undefined) wanted += 1;
    const { type: _, ...command } = frame;
    const turn = start(client, command as RunTurnCommand);
    turn.catch(() => {});
    turns.push(turn);
  }
  return { mock, turns };
}
