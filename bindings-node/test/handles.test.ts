/** Several sessions on one conversation of one client, and sessions that nobody got. */

import { type RuntimeStartExternalToolsGroup, tool } from "@letta/app-client-native";
import { expect, it, vi } from "vitest";
import { connected, startMock } from "./helpers.js";

const where = { agentId: "agent-1", conversationId: "conv-1" };

const named = (name: string, answer: string) =>
  tool({ name, description: "d", parameters: { type: "object" }, execute: () => answer });

const calling = (...names: string[]) =>
  startMock({
    turns: [{ text: "x", toolCalls: names.map((name) => ({ name, input: {} })) }],
  });

const names = (groups: unknown) =>
  ((groups ?? []) as RuntimeStartExternalToolsGroup[]).flatMap(({ tools }) =>
    tools.map(({ name }) => name),
  );

it("leaves the tools and the mode of the first session", async () => {
  const mock = await calling("look");
  const client = await connected(mock);
  const tools = [named("look", "seen")];
  const first = await client.session({ ...where, tools, mode: "strict" });
  const second = await client.session(where);
  expect([first.mode, second.mode]).toEqual(["strict", "strict"]);
  const start = mock.receivedOf("runtime_start")[1];
  // The conversation has a mode, which stays.
  expect([start?.mode, names(start?.external_tools)]).toEqual([undefined, ["look"]]);
  expect((await first.run("?")).toolCalls[0]?.output).toBe("seen");
  await second.close();
  expect((await first.run("?")).toolCalls[0]?.output).toBe("seen");
  second.setMode("acceptEdits");
  expect(first.mode).toBe("acceptEdits");
  mock.assertReceived("runtime_external_tools_update", { times: 0 });
});

it("registers the tools of two sessions, which go one by one", async () => {
  const mock = await calling("look", "find");
  const client = await connected(mock);
  // In another mode the first would have to be asked for the tools of the second.
  const mode = "unrestricted";
  const first = await client.session({ ...where, mode, tools: [named("look", "seen")] });
  const second = await client.session({ ...where, tools: [named("find", "found")] });
  const { toolCalls } = await first.run("?");
  expect(toolCalls.map(({ output }) => output)).toEqual(["seen", "found"]);
  await second.close();
  const updates = () => mock.receivedOf("runtime_external_tools_update");
  await vi.waitFor(() => expect(updates()).toHaveLength(1));
  const sent = updates().flatMap((one) => one.updates as { external_tools: unknown }[]);
  expect(sent.map(({ external_tools }) => names(external_tools))).toEqual([["look"]]);
});

it("does not start again what nobody got, nor takes tools away for it", async () => {
  const mock = await calling("look");
  const client = await connected(mock);
  const first = await client.session({ ...where, tools: [named("look", "seen")] });
  for (const options of [where, { agentId: "agent-2" }, { agentId: "agent-3" }]) {
    const stop = new AbortController();
    const opening = client.session({ ...options, signal: stop.signal });
    stop.abort();
    await expect(opening).rejects.toMatchObject({ name: "AbortError" });
  }
  // Behind all answers.
  await client.agents.list();
  expect((await first.run("?")).toolCalls[0]?.output).toBe("seen");
  const before = mock.receivedOf("runtime_start").length;
  mock.cutConnections();
  await vi.waitFor(() => expect(client.stats.restored).toBe(1));
  const again = mock.receivedOf("runtime_start").slice(before);
  expect(again.map(({ agent_id }) => agent_id)).toEqual(["agent-1"]);
});
