/** Lists that come in pages. */

import { InvalidOption, RequestError } from "@letta/app-client-native";
import type { MockServer } from "@letta/app-client-native/testing";
import { expect, it } from "vitest";
import { collected, connected, rejection, startMock } from "./helpers.js";

const LIST = "conversation_messages_list";

/** Answers the requests of a type, one after the other; gives what was asked. */
async function answer(mock: MockServer, type: string, pages: object[]): Promise<object[]> {
  for (const [at, page] of pages.entries()) {
    expect(await mock.waitReceived(type, at + 1)).toBe(true);
    const request_id = mock.receivedOf(type)[at]?.request_id;
    mock.push({ success: true, ...page, type: `${type}_response`, request_id });
  }
  return mock.receivedOf(type).map(({ type: _, request_id: __, ...fields }) => fields);
}

async function pair() {
  const mock = await startMock({ answers: { [LIST]: null, agent_list: null } });
  return { mock, client: await connected(mock) };
}

const messages = (...ids: number[]) => ids.map((id) => ({ id: `m-${id}`, text: `${id}` }));
it("gives the messages of a conversation, newest first, as a server with one socket pages them", async () => {
  const { mock, client } = await pair();
  const all = collected(client.conversations.messages("c", { pageSize: 2, before: "m-9" }));
  const asked = await answer(mock, LIST, [
    { messages: messages(5, 4), next_before: "m-4", has_more: true },
    { messages: messages(3, 2), next_before: "m-2", has_more: true },
    { messages: messages(1), next_before: "m-1", has_more: false },
  ]);
  expect(await all).toEqual(messages(5, 4, 3, 2, 1));
  const query = { limit: 2, order: "desc" };
  expect(asked).toEqual(
    ["m-9", "m-4", "m-2"].map((before) => ({ conversation_id: "c", query: { ...query, before } })),
  );
  mock.assertReceived(LIST, { times: 3 });
});

it.each([
  ["an empty page", []],
  ["the same page again", messages(2, 1)],
])("and as one with two sockets does, which ends with %s", async (_, last) => {
  const { mock, client } = await pair();
  const all = collected(client.conversations.messages("c"));
  const asked = await answer(mock, LIST, [
    { messages: messages(4, 3) },
    { messages: messages(2, 1) },
    { messages: last },
  ]);
  expect(await all).toEqual(messages(4, 3, 2, 1));
  const query = { limit: 50, order: "desc" };
  expect(asked).toEqual([
    { conversation_id: "c", query },
    { conversation_id: "c", query: { ...query, before: "m-3" } },
    { conversation_id: "c", query: { ...query, before: "m-1" } },
  ]);
});

it("asks for no page that is not wanted", async () => {
  const { mock, client } = await pair();
  const list = client.conversations.messages("c");
  await client.info();
  mock.assertReceived(LIST, { times: 0 });
  const first = list.next();
  await answer(mock, LIST, [{ messages: messages(2, 1), next_before: "m-1", has_more: true }]);
  expect(await first).toEqual({ done: false, value: { id: "m-2", text: "2" } });
  await list.return();
  expect(await list.next()).toEqual({ done: true, value: undefined });
  mock.assertReceived(LIST, { times: 1 });
});

const run = (jobId: string) => ({ jobId, ts: 1, action: "finished" });

it("gives all runs of a task", async () => {
  const { mock, client } = await pair();
  const all = collected(client.cron.allRuns("t", { pageSize: 2 }));
  const page = { total: 3, limit: 2 };
  const asked = await answer(mock, "cron_runs", [
    { page: { ...page, entries: [run("1"), run("2")], offset: 0, hasMore: true, nextOffset: 2 } },
    { page: { ...page, entries: [run("3")], offset: 2, hasMore: false, nextOffset: null } },
  ]);
  expect(await all).toEqual([run("1"), run("2"), run("3")]);
  expect(asked).toEqual([
    { task_id: "t", limit: 2, offset: 0 },
    { task_id: "t", limit: 2, offset: 2 },
  ]);
});

it("does not follow a page to itself, nor one that is missing", async () => {
  for (const page of [
    { entries: [run("1")], total: 9, offset: 0, limit: 1, hasMore: true, nextOffset: 0 },
    undefined,
  ]) {
    const { mock, client } = await pair();
    const all = collected(client.cron.allRuns("t"));
    await answer(mock, "cron_runs", [{ page }]);
    expect(await all).toEqual(page?.entries ?? []);
  }
});

it("gives what is in a directory", async () => {
  const { mock, client } = await pair();
  const all = collected(client.files.entries("/d", { pageSize: 2 }));
  const page = { path: "/d", total: 3 };
  const asked = await answer(mock, "list_in_directory", [
    { ...page, folders: ["src"], files: ["a"], hasMore: true },
    { ...page, folders: [], files: ["b"], hasMore: false },
  ]);
  expect(await all).toEqual([
    { name: "src", kind: "folder" },
    { name: "a", kind: "file" },
    { name: "b", kind: "file" },
  ]);
  expect(asked).toEqual([
    { path: "/d", include_files: true, limit: 2, offset: 0 },
    { path: "/d", include_files: true, limit: 2, offset: 2 },
  ]);
});

const named = (...ids: string[]) => ids.map((id) => ({ id }));

it.each([
  ["an empty page", []],
  ["the same page again", named("b")],
])("gives all agents, up to %s", async (_, last) => {
  const { mock, client } = await pair();
  const all = collected(client.agents.all({ pageSize: 2, query: { tags: ["x"] } }));
  const asked = await answer(mock, "agent_list", [
    { agents: named("d", "c") },
    { agents: named("b") },
    { agents: last },
  ]);
  expect(await all).toEqual(named("d", "c", "b"));
  const query = { tags: ["x"], limit: 2 };
  expect(asked).toEqual([
    { query },
    { query: { ...query, after: "c" } },
    { query: { ...query, after: "b" } },
  ]);
});

it("asks for the conversations of an agent, and is content with none", async () => {
  const { mock, client } = await pair();
  const all = client.conversations.all({ query: { agent_id: "a" }, pageSize: 7 });
  expect(await collected(all)).toEqual([]);
  const asked = mock.receivedOf("conversation_list").map(({ query }) => query);
  expect(asked).toEqual([{ agent_id: "a", limit: 7 }]);
});

it("rejects when the server refuses, and for options that are none", async () => {
  const { mock, client } = await pair();
  const failing = rejection(client.conversations.messages("c").next());
  await answer(mock, LIST, [{ success: false, messages: [], error: "Agent not found" }]);
  const error = await failing;
  expect(error).toBeInstanceOf(RequestError);
  expect(error).toMatchObject({
    message: "`conversation_messages_list` was refused: Agent not found",
    response: { success: false },
  });
  for (const pageSize of [0, 1.5, "2" as never]) {
    const bad = await rejection(client.cron.allRuns("t", { pageSize }).next());
    expect(bad).toBeInstanceOf(InvalidOption);
    expect((bad as Error).message).toMatch(/^pageSize:/);
  }
});
