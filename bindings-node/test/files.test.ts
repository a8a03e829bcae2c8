/** Files that are watched. */

import {
  AbortError,
  type AppServerClientOptions,
  ClientClosed,
  Disconnected,
  InvalidCommand,
  InvalidOption,
} from "@letta/app-client-native";
import { expect, it } from "vitest";
import { connected, rejection, startMock, thrown } from "./helpers.js";

const change = (path: string, lastModified: number) => ({
  type: "file_changed",
  path,
  lastModified,
});

async function pair(options: Partial<AppServerClientOptions> = {}) {
  const mock = await startMock();
  return { mock, client: await connected(mock, options) };
}

it("tells the changes of one file, and stops watching when it is left", async () => {
  const { mock, client } = await pair();
  const changes = client.files.changes("/a");
  expect(await mock.waitReceived("watch_file")).toBe(true);
  expect(mock.receivedOf("watch_file")).toEqual([
    { type: "watch_file", path: "/a", request_id: expect.any(String) },
  ]);
  mock.push(change("/a", 1));
  mock.push(change("/b", 2));
  mock.push(change("/a", 3));
  const seen: number[] = [];
  for await (const { lastModified } of changes) {
    seen.push(lastModified);
    if (lastModified === 3) break;
  }
  expect(seen).toEqual([1, 3]);
  expect(await mock.waitReceived("unwatch_file")).toBe(true);
  expect(mock.receivedOf("unwatch_file")).toEqual([
    { type: "unwatch_file", path: "/a", request_id: expect.any(String) },
  ]);
  await changes.return();
  await client.info();
  mock.assertReceived("unwatch_file", { times: 1 });
});

it("goes on watching while somebody else reads the same file", async () => {
  const { mock, client } = await pair();
  const [first, second] = [client.files.changes("/a"), client.files.changes("/a")];
  await first.return();
  await client.info();
  mock.assertReceived("unwatch_file", { times: 0 });
  mock.push(change("/a", 1));
  expect((await second.next()).value).toEqual(change("/a", 1));
  await second[Symbol.asyncDispose]();
  expect(await mock.waitReceived("unwatch_file")).toBe(true);
  await client.info();
  mock.assertReceived("watch_file", { times: 1 });
  mock.assertReceived("unwatch_file", { times: 1 });
});

it("stops watching when its signal is aborted", async () => {
  const { mock, client } = await pair();
  const abort = new AbortController();
  const waiting = rejection(client.files.changes("/a", { signal: abort.signal }).next());
  abort.abort();
  expect(await waiting).toBeInstanceOf(AbortError);
  expect(await mock.waitReceived("unwatch_file")).toBe(true);
  const late = client.files.changes("/a", { signal: abort.signal });
  expect(await rejection(late.next())).toBeInstanceOf(AbortError);
  expect(await late.next()).toEqual({ done: true, value: undefined });
  await client.info();
  mock.assertReceived("unwatch_file", { times: 1 });
  mock.assertReceived("watch_file", { times: 1 });
});

it("ends with the connection, and refuses what cannot be watched", async () => {
  const { mock, client } = await pair({ reconnect: false });
  expect(thrown(() => client.files.changes(7 as never))).toBeInstanceOf(InvalidCommand);
  expect(thrown(() => client.files.changes("/a", "b" as never))).toBeInstanceOf(InvalidOption);
  await client.info();
  mock.assertReceived("unwatch_file", { times: 0 });
  const waiting = rejection(client.files.changes("/a").next());
  await mock.waitReceived("watch_file");
  mock.cutConnections();
  expect(await waiting).toBeInstanceOf(Disconnected);
  expect(thrown(() => client.files.changes("/a"))).toBeInstanceOf(Disconnected);
  await client.connect();
  await using again = client.files.changes("/a");
  await mock.waitReceived("watch_file", 2);
  mock.push(change("/a", 5));
  expect((await again.next()).value).toEqual(change("/a", 5));
  await client.close();
  expect(thrown(() => client.files.changes("/a"))).toBeInstanceOf(ClientClosed);
});
