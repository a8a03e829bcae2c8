import { gather } from "@letta/app-client-native";
import { describe, expect, it } from "vitest";
import { connected, prepared, rejection, say, startMock } from "./helpers.js";

/** The stack of what a function of this name rejects with. */
async function stackOf(call: () => Promise<unknown>): Promise<string> {
  const functionOfTheProgram = async () => {
    await call();
  };
  return String(((await rejection(functionOfTheProgram())) as Error).stack);
}

const failing = { turns: [{ error: "no luck" }] };

describe("the stack of an error that comes over the connection names who waits for it", () => {
  it("for a request", async () => {
    const client = await connected(await startMock({ answers: { list_models: null } }));
    const limit = { timeoutMs: 20 };
    for (const call of [
      () => client.request("list_models", {}, limit),
      () => client.models.list({}, limit),
    ]) {
      const stack = await stackOf(call);
      expect(stack).toMatch(/^RequestTimeout: no answer to `list_models`/);
      expect(stack).toContain("functionOfTheProgram");
      expect(stack).not.toContain("deliveries");
    }
  });

  it("for a turn", async () => {
    const { client, runtime } = await prepared(failing);
    const input = { runtime, payload: say("?") };
    const session = await client.session({ agentId: "agent-1" });
    for (const call of [
      () => client.runTurn(input, { check: true }),
      () => session.run("?"),
      async () => {
        for await (const _ of session.stream("?", { check: true }));
      },
    ]) {
      const stack = await stackOf(call);
      expect(stack).toMatch(/^TurnFailed: the turn failed: no luck\n/);
      expect(stack).toContain("functionOfTheProgram");
    }
  });

  it("for the handle of a turn, whenever and however it is awaited", async () => {
    const { client, runtime } = await prepared(failing);
    const send = () => client.sendTurn({ runtime, payload: say("?") }, { check: true });
    const over = send();
    // It waits behind the other one.
    await rejection(send());
    expect(over.status).toBe("failed");
    for (const call of [
      async () => await send(),
      async () => await send().finally(() => {}),
      async () => await Promise.all([send(), undefined]),
      async () => await gather([send()], { check: true }),
      async () => await over,
    ]) {
      const stack = await stackOf(call);
      expect(stack).toMatch(/^TurnFailed: the turn failed: no luck\n/);
      expect(stack).toContain("functionOfTheProgram");
    }
  });

  it("for what keeps an input from being sent", async () => {
    const { client } = await prepared(failing);
    const session = await client.session({ agentId: "agent-1" });
    await client.close();
    expect(await stackOf(() => session.run("?"))).toContain("functionOfTheProgram");
  });

  it("for a connection", async () => {
    const mock = await startMock({ token: "right" });
    const stack = await stackOf(() => connected(mock, { authToken: "wrong" }));
    expect(stack).toMatch(/^AuthError: /);
    expect(stack).toContain("functionOfTheProgram");
  });
});
