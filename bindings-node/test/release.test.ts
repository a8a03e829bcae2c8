/** Closed clients and turns that are over leave nothing behind. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import {
  AbortError,
  type AppServerClient,
  connect,
  type Session,
  type Turn,
  tool,
} from "@letta/app-client-native";
import { expect, it } from "vitest";
import { startMock } from "./helpers.js";

/** What `make endurance` does a thousand times, which looks at the memory as well. */
const program = fileURLToPath(new URL("../../bench/endurance/cycles.mjs", import.meta.url));

it.runIf(existsSync("/proc/self/fd"))(
  "neither threads nor descriptors",
  { timeout: 60_000 },
  async () => {
    const mock = await startMock([{ text: Array.from({ length: 30 }, () => "piece ") }]);
    const child = spawn(process.execPath, ["--expose-gc", program, mock.url, "50"]);
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, "close"),
    ]);
    expect([code, stderr]).toEqual([0, ""]);
    for (const held of Object.values<Record<string, number[]>>(JSON.parse(stdout))) {
      for (const kind of ["threads", "descriptors"]) {
        const [before, after] = held[kind] ?? [];
        expect(before).toBeGreaterThan(0);
        expect([kind, after]).toEqual([kind, before]);
      }
    }
  },
);

/** A client that is closed, while its session is not; what its handlers and tools have is put in `had` by `having`. */
async function leftBehind(having: (client: AppServerClient, session: Session, turn: Turn) => void) {
  const client = await connect((await startMock()).url);
  const had: { session?: Session } = {};
  const which = tool({
    name: "which",
    description: "Which conversation it is",
    parameters: { type: "object", properties: {} },
    execute: () => had.session?.conversationId,
  });
  const session = await client.session({ agentId: "agent-1", tools: [which] });
  had.session = session;
  const turn = session.send("?");
  having(client, session, turn);
  await turn;
  await client.close();
  return [new WeakRef(client), new WeakRef(session), new WeakRef(turn)];
}

it.each<[string, Parameters<typeof leftBehind>[0]]>([
  ["a tool that has the session", () => {}],
  ["a handler that has the session", (client, session) => client.onState(() => session.usage)],
  ["a handler that has the turn", (client, _, turn) => client.onState(() => turn.status)],
])("no client either, with %s", async (_, having) => {
  expect(await alive(await leftBehind(having))).toBe(0);
});

/** How many are still there when nobody has them any more. */
async function alive(left: WeakRef<object>[]): Promise<number> {
  setFlagsFromString("--expose_gc");
  const collect = runInNewContext("gc") as () => void;
  const count = () => left.filter((each) => each.deref() !== undefined).length;
  for (let turns = 0; turns < 20 && count() > 0; turns++) {
    // What was looked at is held until the next turn of the event loop.
    await new Promise(setImmediate);
    collect();
  }
  return count();
}

it("a turn that was cancelled while it was sent, in its session", async () => {
  const client = await connect((await startMock()).url);
  const session = await client.session({ agentId: "agent-1" });
  const cancelled = async () => {
    const controller = new AbortController();
    const stop = client.onSend((command) => {
      if (command.type === "input") controller.abort();
    });
    const turn = session.send("?", { signal: controller.signal });
    stop();
    const told = await turn.then(
      () => "a result",
      (error) => error instanceof AbortError,
    );
    expect(told).toBe(true);
    return new WeakRef<object>(turn);
  };
  expect(await alive([await cancelled()])).toBe(0);
  await session.close();
  await client.close();
});
