/** Turns whose connection is lost are looked for on the next one (section 16). */

import { connect, InvalidOption, TurnInterrupted } from "@letta/app-client-native";
import { expect, it, onTestFinished } from "vitest";
import { rejection, say, startMock } from "./helpers.js";

const FAST = { baseMs: 10, capMs: 20 };
const LOST = { loseInput: true };
const runtime = { agent_id: "a", conversation_id: "c" };

async function interruption(turn: PromiseLike<unknown>): Promise<TurnInterrupted> {
  const error = await rejection(turn);
  expect(error).toBeInstanceOf(TurnInterrupted);
  return error as TurnInterrupted;
}

async function clientOf(url: string) {
  const client = await connect({ url, reconnect: FAST });
  onTestFinished(() => client.close());
  return client;
}

for (const generation of ["single", "split"] as const) {
  it(`sends an input again that was lost (${generation})`, async () => {
    const server = await startMock({ generation, turns: [LOST, { text: "Here." }] });
    const session = await (await clientOf(server.url)).session({ agentId: "a" });
    const { text, delivery } = await session.run("Are you there?");
    expect({ text, delivery }).toEqual({ text: "Here.", delivery: "resent" });
    const [first, ...others] = server.receivedOf("input");
    expect(others).toEqual([first]);
  });

  it(`reads an answer that was cut from the stored messages (${generation})`, async () => {
    const turns = [{ text: ["a", "b", "c"], disconnectAfter: 2 }];
    const server = await startMock({ generation, turns });
    const session = await (await clientOf(server.url)).session({ agentId: "a" });
    const error = await interruption(session.run("Go"));
    expect(error.result).toMatchObject({ text: "ab", delivery: "recovered" });
    expect(server.receivedOf("input")).toHaveLength(1);
  });
}

it("leaves it to the caller elsewhere", async () => {
  const server = await startMock({ turns: [LOST, LOST, { text: "Here." }, LOST] });
  const client = await clientOf(server.url);
  const session = await client.session({ agentId: "a" });
  const error = await interruption(session.send("Are you there?"));
  expect(error.result?.delivery).toBe("undelivered");
  const input = { runtime: session.runtime, payload: say("And now?") };
  const result = await client.runTurn(input, { resend: "if_uncommitted" });
  expect(result.delivery).toBe("resent");
  const unknown = await interruption(session.run("Sure?", { recoverTimeoutMs: 0 }));
  expect(unknown.result?.delivery).toBe("unknown");
});

it("follows a turn that somebody else watches", async () => {
  const pieces = Array.from({ length: 40 }, (_, n) => `${n} `);
  const server = await startMock({ turns: [{ text: pieces, delayMs: 10 }] });
  const watcher = await clientOf(server.url);
  await watcher.sync({ runtime });
  const client = await clientOf(server.url);
  const turn = client.sendTurn({ runtime, payload: say("Count") });
  const kinds: string[] = [];
  for await (const { type } of turn) {
    if (type === "assistant_delta" && !kinds.includes(type)) server.cutConnection(1);
    kinds.push(type);
  }
  expect(kinds.filter((kind) => kind === "resumed")).toHaveLength(1);
  const { text, delivery } = await turn;
  expect({ text, delivery }).toEqual({ text: pieces.join(""), delivery: "recovered" });
});

it("refuses what cannot be meant", async () => {
  const server = await startMock({});
  const session = await (await clientOf(server.url)).session({ agentId: "a" });
  const error = await rejection(session.run("Go", { resend: "always" as "never" }));
  expect(error).toBeInstanceOf(InvalidOption);
  expect((error as Error).message).toContain(
    'resend: expected "if_uncommitted" or "never", got "always"',
  );
});
