/** Handlers and readers of some messages. */

import {
  type AppServerClientOptions,
  ClientClosed,
  Disconnected,
  InvalidOption,
  type MessageType,
  type WsProtocolMessage,
} from "@letta/app-client-native";
import { expect, it, onTestFinished, vi } from "vitest";
import { collected, connected, nextWarning, rejection, startMock, thrown } from "./helpers.js";

const runtime = { agent_id: "a", conversation_id: "c" };
const other = { agent_id: "a", conversation_id: "other" };

async function pair(options: Partial<AppServerClientOptions> = {}) {
  const mock = await startMock();
  const client = await connected(mock, options);
  await client.info();
  /** Resolves when everything that was pushed before has come. */
  const settled = () =>
    new Promise<void>((resolve) => {
      const off = client.onMessage(
        () => {
          off();
          resolve();
        },
        { types: ["settled"] },
      );
      mock.push({ type: "settled" });
    });
  return { mock, client, settled };
}

it("gives a handler the types it names, known and unknown ones, in the order of registration", async () => {
  const { mock, client, settled } = await pair();
  const seen: string[] = [];
  client.onMessage((message, channel) => seen.push(`some ${channel} ${message.type}`), {
    types: ["terminal_output", "brand_new"],
  });
  const off = client.onMessage(({ type }) => seen.push(`all ${type}`));
  for (const type of ["terminal_output", "file_changed", "brand_new", "other_new"]) {
    mock.push({ type });
  }
  await settled();
  off();
  expect(seen).toEqual([
    "some control terminal_output",
    "all terminal_output",
    "all file_changed",
    "some control brand_new",
    "all brand_new",
    "all other_new",
    "all settled",
  ]);
});

it("does not parse frames of other types", async () => {
  const { mock, client, settled } = await pair();
  const handler = vi.fn();
  client.onMessage(handler, { types: ["file_changed"] });
  const parse = vi.spyOn(JSON, "parse");
  onTestFinished(() => parse.mockRestore());
  mock.push({ type: "terminal_output", terminal_id: "t", data: "never parsed" });
  mock.push({ type: "file_changed", path: "/parsed", lastModified: 1 });
  await settled();
  const texts = parse.mock.calls.map(([text]) => text);
  expect(texts.filter((text) => text.includes("never parsed"))).toEqual([]);
  expect(texts.filter((text) => text.includes("/parsed"))).toHaveLength(1);
  expect(handler).toHaveBeenCalledOnce();
});

it("gives a handler the messages of one runtime", async () => {
  const { mock, client, settled } = await pair();
  const seen: unknown[] = [];
  const off = client.onMessage(
    (message) => seen.push((message as { of?: unknown }).of ?? message.type),
    { runtime },
  );
  mock.push({ type: "turn_finished", runtime, of: "this" });
  mock.push({ type: "turn_finished", runtime: other, of: "another" });
  mock.push({ type: "turn_finished", runtime: null, of: "none" });
  mock.push({ type: "brand_new", runtime: { ...runtime, acting_user_id: "u" }, of: "new" });
  await settled();
  off();
  mock.push({ type: "turn_finished", runtime, of: "late" });
  await settled();
  expect(seen).toEqual(["this", "new"]);
});

it("counts a function with a filter apart from the same function without", async () => {
  const { client, settled } = await pair();
  const handler = vi.fn();
  const offs = [
    client.onMessage(handler),
    client.onMessage(handler),
    client.onMessage(handler, { types: ["settled"] }),
  ];
  await settled();
  expect(handler).toHaveBeenCalledTimes(2);
  for (const off of offs) off();
  await settled();
  expect(handler).toHaveBeenCalledTimes(2);
});

it("refuses filters that are none, by name", async () => {
  const { client } = await pair();
  const handler = () => {};
  const bad: [filter: unknown, name: string][] = [
    ["all", "filter"],
    [{ types: "turn_finished" }, "types"],
    [{ types: [7] }, "types"],
    [{ runtime: "a/c" }, "runtime"],
    [{ runtime: { agent_id: "a" } }, "runtime"],
  ];
  for (const [filter, name] of bad) {
    const error = thrown(() => client.onMessage(handler, filter as object));
    expect(error).toBeInstanceOf(InvalidOption);
    expect((error as Error).message).toMatch(new RegExp(`^${name}:`));
    if (typeof filter === "object") {
      expect(thrown(() => client.messages(filter as object))).toBeInstanceOf(InvalidOption);
    }
  }
  for (const limit of [0, -1, 1.5, "7"]) {
    const error = thrown(() => client.messages({ limit: limit as number }));
    expect((error as Error).message).toMatch(/^limit:/);
  }
  expect(thrown(() => client.messages({ signal: {} as AbortSignal }))).toBeInstanceOf(
    InvalidOption,
  );
});

it("reads messages from the moment it was asked, until it is left", async () => {
  const { mock, client, settled } = await pair();
  const reader = client.messages({ types: ["terminal_output"] });
  for (const data of ["one", "two", "three"]) {
    mock.push({ type: "terminal_output", terminal_id: "t", data });
  }
  await settled();
  const seen: string[] = [];
  for await (const message of reader) {
    seen.push(message.data);
    if (message.data === "two") break;
  }
  expect(seen).toEqual(["one", "two"]);
  expect(await reader.next()).toEqual({ done: true, value: undefined });
  expect(reader.dropped).toBe(0);
});

it("waits for messages that come later, for several readers at once", async () => {
  const { mock, client } = await pair();
  const types: MessageType[] = ["file_changed"];
  const first = client.messages({ types });
  await using second = client.messages({ types });
  const both = Promise.all([first.next(), second.next()]);
  mock.push({ type: "file_changed", path: "/a", lastModified: 1 });
  for (const { value } of await both) expect(value).toMatchObject({ path: "/a" });
  const left = first.next();
  await first.return();
  expect(await left).toEqual({ done: true, value: undefined });
  expect(await rejection(second.throw(new Error("enough")))).toMatchObject({ message: "enough" });
});

it("drops the oldest messages of a slow reader, counts them and says so once", async () => {
  const { mock, client, settled } = await pair();
  const reader = client.messages({ types: ["file_changed"], limit: 3 });
  const warned = nextWarning("AppClientLagWarning");
  for (let at = 0; at < 10; at += 1) mock.push({ type: "file_changed", path: `/${at}` });
  await settled();
  expect((await warned).message).toContain("messages were dropped");
  expect(reader.dropped).toBe(7);
  const rest = [await reader.next(), await reader.next(), await reader.next()];
  expect(rest.map(({ value }) => value?.path)).toEqual(["/7", "/8", "/9"]);
});

it("bounds the text that waits, too", async () => {
  const { mock, client, settled } = await pair();
  const reader = client.messages({ types: ["terminal_output"] });
  const warned = nextWarning("AppClientLagWarning");
  const data = "x".repeat(8 * 1024 * 1024);
  for (let at = 0; at < 10; at += 1) {
    mock.push({ type: "terminal_output", terminal_id: `${at}`, data });
    await settled();
  }
  await warned;
  expect(reader.dropped).toBe(3);
  const { value } = await reader.next();
  expect(value?.terminal_id).toBe("3");
});

it("counts what was lost before it could be looked at", async () => {
  const { mock, client, settled } = await pair();
  const reader = client.messages({ types: ["file_changed"] });
  onTestFinished(client.onLagged(() => {}));
  const before = client.stats.bytes;
  const size = 1024 * 1024;
  for (let count = 0; count < 72; count += 1) {
    mock.push({ type: "large", text: "x".repeat(size) });
  }
  // This thread fetches nothing while it counts; the mailbox holds 64 MiB.
  while (client.stats.bytes < before + 72 * size);
  await settled();
  expect(reader.dropped).toBeGreaterThan(0);
  expect(reader.dropped).toBe(client.stats.dropped);
});

it("ends with the client, and rejects at the end of the connection, after what had come", async () => {
  const { mock, client, settled } = await pair({ reconnect: false });
  const [lost, waiting] = [client.messages(), client.messages({ types: ["terminal_output"] })];
  const nothing = rejection(waiting.next());
  mock.push({ type: "file_changed", path: "/a" });
  await settled();
  const disconnected = new Promise((resolve) => client.onDisconnect(resolve));
  mock.cutConnections();
  await disconnected;
  const seen: WsProtocolMessage[] = [];
  const error = await rejection(
    (async () => {
      for await (const message of lost) seen.push(message);
    })(),
  );
  expect(seen.map(({ type }) => type)).toEqual(["file_changed", "settled"]);
  expect(await nothing).toBeInstanceOf(Disconnected);
  expect(error).toBeInstanceOf(Disconnected);
  // Not retryable: a further step gives nothing.
  expect(error).toMatchObject({ retryable: false, willReconnect: false, closeCode: 1006 });
  expect(await lost.next()).toEqual({ done: true, value: undefined });
  await client.connect();
  const rest = collected(client.messages());
  await client.close();
  await rest;
  // As every other reader: not where the loop is made.
  const late = client.messages();
  expect(await rejection(late.next())).toBeInstanceOf(ClientClosed);
  expect(await late.next()).toEqual({ done: true, value: undefined });
  expect(await rejection(collected(client.messages()))).toBeInstanceOf(ClientClosed);
  expect(thrown(() => client.messages({ limit: 0 }))).toBeInstanceOf(InvalidOption);
});

it("rejects at once when the signal is aborted", async () => {
  const { mock, client, settled } = await pair();
  const abort = new AbortController();
  const reader = client.messages({ signal: abort.signal });
  mock.push({ type: "file_changed", path: "/a" });
  await settled();
  abort.abort("enough");
  expect(await rejection(reader.next())).toMatchObject({ name: "AbortError", cause: "enough" });
  expect(await reader.next()).toEqual({ done: true, value: undefined });
  // Of one that was aborted before, the loop is told as well, not whoever makes it.
  const late = client.messages({ signal: abort.signal });
  expect(await rejection(late.next())).toMatchObject({ name: "AbortError", cause: "enough" });
  expect(await late.next()).toEqual({ done: true, value: undefined });
});
