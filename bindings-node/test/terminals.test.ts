/** Terminals as objects. */

import {
  AbortError,
  type AppServerClient,
  Disconnected,
  InvalidCommand,
  InvalidOption,
  RequestError,
  RequestTimeout,
  type TerminalOptions,
} from "@letta/app-client-native";
import type { MockServer } from "@letta/app-client-native/testing";
import { expect, it } from "vitest";
import { collected, connected, rejection, startMock } from "./helpers.js";

/** A terminal whose server is the test. */
async function opened(options: TerminalOptions = {}) {
  const mock = await startMock();
  const client = await connected(mock);
  const opening = client.terminals.open(options);
  const id = await spawned(mock);
  mock.push({ type: "terminal_spawned", terminal_id: id, pid: 42 });
  const say = (data: string) => mock.push({ type: "terminal_output", terminal_id: id, data });
  const exit = (exitCode: number) =>
    mock.push({ type: "terminal_exited", terminal_id: id, exitCode });
  say("$ ");
  return { mock, client, terminal: await opening, id, say, exit };
}

/** The id of the terminal that was asked for last. */
async function spawned(mock: MockServer, times = 1): Promise<string> {
  expect(await mock.waitReceived("terminal_spawn", times)).toBe(true);
  return String(mock.receivedOf("terminal_spawn").at(-1)?.terminal_id);
}

/** Resolves when everything that was pushed before has come. */
function settled(mock: MockServer, client: AppServerClient): Promise<unknown> {
  const reader = client.messages({ types: ["settled"] });
  mock.push({ type: "settled" });
  return reader.next();
}

it("opens one, with sensible sizes, and is typed into", async () => {
  const { mock, terminal, id } = await opened();
  expect(terminal).toMatchObject({ id, pid: 42, exitCode: null, dropped: 0 });
  terminal.write("echo hi\n");
  terminal.resize(100, 30);
  terminal.kill();
  terminal.kill();
  await mock.waitReceived("terminal_kill");
  expect(mock.received.slice(-4)).toEqual([
    { type: "terminal_spawn", terminal_id: id, cols: 80, rows: 24 },
    { type: "terminal_input", terminal_id: id, data: "echo hi\n" },
    { type: "terminal_resize", terminal_id: id, cols: 100, rows: 30 },
    { type: "terminal_kill", terminal_id: id },
  ]);
});

it("gives its own output from the start to behind the exit", async () => {
  const { mock, terminal, say, exit } = await opened({ cols: 1, rows: 2, cwd: "/tmp" });
  expect(mock.receivedOf("terminal_spawn")[0]).toMatchObject({ cols: 1, rows: 2, cwd: "/tmp" });
  say("hello");
  mock.push({ type: "terminal_output", terminal_id: "another", data: "not ours" });
  mock.push({ type: "terminal_exited", terminal_id: "another", exitCode: 1 });
  exit(3);
  say("late");
  expect(await collected(terminal)).toEqual(["$ ", "hello", "late"]);
  expect(terminal.exitCode).toBe(3);
  // It has ended: nothing is sent any more.
  await terminal[Symbol.asyncDispose]();
  mock.assertReceived("terminal_kill", { times: 0 });
});

it("goes on where a loop was left", async () => {
  const { terminal, say, exit } = await opened();
  for await (const text of terminal) {
    expect(text).toBe("$ ");
    break;
  }
  say("more");
  exit(0);
  expect(await collected(terminal)).toEqual(["more"]);
  expect(await collected(terminal)).toEqual([]);
});

it("a kill tells no exit, and ends the output", async () => {
  const { terminal, say } = await opened();
  const reading = collected(terminal);
  terminal.kill();
  say("last words");
  expect(await reading).toEqual(["$ ", "last words"]);
  expect(terminal.exitCode).toBeNull();
});

it("is killed at the end of its block", async () => {
  const { mock, terminal, id } = await opened();
  {
    await using scoped = terminal;
    expect(scoped.id).toBe(id);
  }
  expect(await mock.waitReceived("terminal_kill")).toBe(true);
  expect(await collected(terminal)).toEqual([]);
});

it("says why it cannot be started", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const failing = rejection(client.terminals.open({ cwd: "/nowhere" }));
  const terminal_id = await spawned(mock);
  const answer = { type: "terminal_exited", terminal_id, exitCode: 1, error: "no such directory" };
  mock.push(answer);
  const error = await failing;
  expect(error).toBeInstanceOf(RequestError);
  expect(error).toMatchObject({
    message: "`terminal_spawn` was refused: no such directory",
    response: answer,
  });
  mock.assertReceived("terminal_kill", { times: 0 });
});

it("ends what the server may have started for somebody who has left", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const abort = new AbortController();
  const opening = rejection(client.terminals.open({ signal: abort.signal }));
  const id = await spawned(mock);
  abort.abort();
  expect(await opening).toBeInstanceOf(AbortError);
  expect(await mock.waitReceived("terminal_kill")).toBe(true);
  expect(mock.receivedOf("terminal_kill")).toEqual([{ type: "terminal_kill", terminal_id: id }]);
  const late = await rejection(client.terminals.open({ timeoutMs: 20 }));
  expect(late).toBeInstanceOf(RequestTimeout);
  expect(await mock.waitReceived("terminal_kill", 2)).toBe(true);
  const { signal } = abort;
  expect(await rejection(client.terminals.open({ signal }))).toBeInstanceOf(AbortError);
  mock.assertReceived("terminal_spawn", { times: 2 });
  mock.assertReceived("terminal_kill", { times: 2 });
});

it("rejects what cannot be sent", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  expect(await rejection(client.terminals.open("80x24" as never))).toBeInstanceOf(InvalidOption);
  const error = await rejection(client.terminals.open({ cols: "80" as never }));
  expect(error).toBeInstanceOf(InvalidCommand);
  expect((error as Error).message).toContain("cols");
  expect(mock.received).toEqual([]);
});

it("ends with the connection", async () => {
  const { mock, client, terminal } = await opened();
  await settled(mock, client);
  const seen: string[] = [];
  const reading = rejection(
    (async () => {
      for await (const text of terminal) seen.push(text);
    })(),
  );
  mock.cutConnections();
  const error = await reading;
  expect(error).toBeInstanceOf(Disconnected);
  // The client reconnects, and the terminal is gone all the same.
  expect(error).toMatchObject({ retryable: false, willReconnect: true });
  expect(seen).toEqual(["$ "]);
  terminal.kill();
  await terminal[Symbol.asyncDispose]();
  expect(await collected(terminal)).toEqual([]);
});

it("ends with the client", async () => {
  const { mock, client, terminal } = await opened();
  await settled(mock, client);
  const reading = collected(terminal);
  await client.close();
  expect(await reading).toEqual(["$ "]);
  terminal.kill();
});
