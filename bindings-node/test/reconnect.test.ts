/** A lost connection is opened again, and programs go on. */

import {
  type AppServerClient,
  allow,
  type ClientState,
  ConnectionFailed,
  connect,
  createAppServerClient,
  Disconnected,
  InvalidOption,
  type LettaAppError,
  TurnInterrupted,
  tool,
} from "@letta/app-client-native";
import { expect, it, onTestFinished } from "vitest";
import {
  connected,
  nextWarning,
  prepared,
  rejection,
  startMock,
  startRuntime,
  thrown,
} from "./helpers.js";

const FAST = { baseMs: 1, capMs: 5 };
/** Waits that never end by themselves. */
const SLOW = { baseMs: 86_400_000, capMs: 86_400_000 };
const say = (content: string) => ({
  kind: "create_message" as const,
  messages: [{ role: "user" as const, content }],
});

/** The changes of a client's state. */
function statesOf(client: AppServerClient) {
  const seen: ClientState[] = [];
  const errors: (LettaAppError | null)[] = [];
  let changed = () => {};
  client.onState((state, error) => {
    seen.push(state);
    errors.push(error);
    changed();
  });
  const until = async (state: ClientState, times = 1) => {
    while (seen.filter((one) => one === state).length < times) {
      await new Promise<void>((resolve) => {
        changed = resolve;
      });
    }
  };
  return { seen, errors, until };
}

it("waits through further attempts when it is told to connect", async () => {
  const mock = await startMock([{ text: "done" }]);
  const client = await connected(mock, { reconnect: FAST, connectTimeoutMs: 300 });
  const states = statesOf(client);
  await mock.close();
  await states.until("reconnecting");
  const begun = performance.now();
  expect(await rejection(client.connect())).toBeInstanceOf(ConnectionFailed);
  expect(performance.now() - begun).toBeGreaterThan(250);
  expect(client.state).toBe("reconnecting");
});

it("sends inputs that nobody waits for when it is closed", async () => {
  const mock = await startMock([{ text: "done" }]);
  const client = await connected(mock, { settlePauseMs: 30_000 });
  const session = await client.session({ agentId: "a" });
  await session.run("one");
  session.send("two").detach();
  await client.close();
  expect(client.stats.unsent).toBe(0);
  mock.assertReceived("input", { times: 2 });
});

it("tells what it has not sent when it is closed", async () => {
  const mock = await startMock({ answers: { input: null } });
  const client = await connected(mock);
  const runtime = await startRuntime(client);
  // The second one waits for the server's word on the first, which never comes.
  for (const text of ["one", "two"]) client.send({ type: "input", runtime, payload: say(text) });
  const warned = nextWarning("AppClientUnsentWarning");
  await client.close();
  expect(client.stats.unsent).toBe(1);
  expect((await warned).message).toMatch(/nobody waited for were not sent: 1$/);
});

it("goes on with a session and its tools", async () => {
  const mock = await startMock([
    { text: ["done"], toolCalls: [{ name: "count", needsApproval: true }] },
  ]);
  const client = await connected(mock, { reconnect: FAST });
  const states = statesOf(client);
  let calls = 0;
  let asked = 0;
  const count = tool({
    name: "count",
    description: "Counts",
    parameters: { type: "object", properties: {} },
    execute: () => String(++calls),
  });
  const onApproval = () => {
    asked += 1;
    return allow();
  };
  const session = await client.session({ agentId: "a", tools: [count], onApproval });
  for (let cut = 1; cut <= 10; cut++) {
    mock.cutConnections();
    await states.until("open", cut);
    const result = await session.run("?");
    expect([result.text, result.toolCalls[0]?.output]).toEqual(["done", String(cut)]);
    expect(asked).toBe(cut);
  }
  expect(client.stats).toMatchObject({ reconnects: 10, restored: 10, restoreFailures: 0 });
  await client.close();
  const cuts = Array.from({ length: 10 }, () => ["reconnecting", "open"]);
  expect(states.seen).toEqual([...cuts.flat(), "closed"]);
});

it("does not start a session again that was closed", async () => {
  const mock = await startMock([{ text: ["done"] }]);
  const starts = () => mock.receivedOf("runtime_start").map((command) => command.conversation_id);
  const client = await connected(mock, { reconnect: FAST });
  const states = statesOf(client);
  const open = (conversationId: string) => client.session({ agentId: "a", conversationId });
  const [closed, kept] = [await open("closed"), await open("kept")];
  const [shared, other] = [await open("shared"), await open("shared")];
  await closed.close();
  await closed.close();
  await other.close();
  const before = starts().length;
  mock.cutConnections();
  await states.until("open", 1);
  await kept.run("?");
  await shared.run("?");
  expect(starts().slice(before)).toEqual(["kept", "shared"]);
  await client.close();
});

it("says in errors and to handlers that it goes on", async () => {
  const mock = await startMock([{ text: ["a", "b"], disconnectAfter: 1 }]);
  const client = createAppServerClient({ url: mock.url, reconnect: SLOW });
  onTestFinished(() => client.close());
  const states = statesOf(client);
  await client.connect();
  const { runtime } = await client.runtimeStart({ agent_id: "a", mode: "standard" });
  if (!runtime) throw new Error("no runtime");
  const lost = new Promise((resolve) => client.onDisconnect(resolve));
  const turn = client.runTurn({ runtime, payload: say("?") }, { recoverTimeoutMs: 0 });
  const interrupted = await rejection(turn);
  expect(interrupted).toBeInstanceOf(TurnInterrupted);
  expect(interrupted).toMatchObject({ willReconnect: true, retryable: false });
  expect(await lost).toMatchObject({ willReconnect: true });
  await states.until("reconnecting");
  expect(states.errors.at(-1)).toMatchObject({ code: "disconnected", willReconnect: true });
  expect(client.state).toBe("reconnecting");
  const refused = await rejection(client.info());
  expect(refused).toBeInstanceOf(Disconnected);
  expect(refused).toMatchObject({ willReconnect: true, retryable: true });
  // A connect does not wait for the timer.
  await client.connect();
  expect((await client.info()).success).toBe(true);
  await client.close();
  expect(states.seen).toEqual(["connecting", "open", "reconnecting", "open", "closed"]);
});

it("goes on with readers, and ends them when it is given up", async () => {
  const mock = await startMock();
  const client = await connected(mock, { reconnect: { ...FAST, maxAttempts: 2 } });
  await client.info();
  const states = statesOf(client);
  const messages = client.messages({ types: ["brand_new"] });
  const changes = client.files.changes("/a");
  await mock.waitReceived("watch_file");
  mock.cutConnections();
  await states.until("open");
  await mock.waitReceived("watch_file", 2);
  mock.push({ type: "brand_new" });
  mock.push({ type: "file_changed", path: "/a", lastModified: 1 });
  expect((await messages.next()).value).toMatchObject({ type: "brand_new" });
  expect((await changes.next()).value).toMatchObject({ path: "/a" });
  await mock.close();
  await states.until("disconnected");
  expect(states.errors.at(-1)).toBeInstanceOf(ConnectionFailed);
  const ended = await rejection(messages.next());
  expect(ended).toBeInstanceOf(Disconnected);
  expect(ended).toMatchObject({ willReconnect: false });
  const error = ended as Disconnected;
  expect(error.reason).toMatch(/will not be reopened: connection refused by [\d.:]+$/);
  expect(error.hint).toMatch(/^is the server running/);
  expect(error.message).toBe(`${error.reason} (${error.hint})`);
});

it("ends readers that begin when it is given up, unless the program connects", async () => {
  const mock = await startMock();
  const client = await connected(mock, { reconnect: false });
  const states = statesOf(client);
  mock.cutConnections();
  await states.until("disconnected");
  const gone = { code: "disconnected", retryable: false, willReconnect: false, closeCode: 1006 };
  const late = client.messages();
  expect(await rejection(late.next())).toMatchObject(gone);
  expect(await late.next()).toEqual({ done: true, value: undefined });
  // One that the program connects for.
  const [early, reading] = [client.messages({ types: ["brand_new"] }), client.messages()];
  const connecting = client.connect();
  const first = reading.next();
  await connecting;
  await client.info();
  mock.push({ type: "brand_new" });
  expect((await early.next()).value).toMatchObject({ type: "brand_new" });
  expect((await first).done).toBe(false);
  // And one whose program connects in vain.
  await mock.close();
  await states.until("disconnected", 2);
  const vain = client.messages();
  const failing = rejection(client.connect());
  expect(await rejection(vain.next())).toMatchObject(gone);
  expect(await failing).toBeInstanceOf(ConnectionFailed);
});

it("ends its waiting with a close", async () => {
  const { mock, client } = await prepared([], { reconnect: SLOW });
  const states = statesOf(client);
  mock.cutConnections();
  await states.until("reconnecting");
  await client.close();
  expect(states.seen).toEqual(["reconnecting", "closed"]);
});

it("is not there where it is not wanted", async () => {
  const { mock, client } = await prepared([], { reconnect: false });
  const states = statesOf(client);
  mock.cutConnections();
  await states.until("disconnected");
  expect(states.seen).toEqual(["disconnected"]);
});

it("names options that cannot be used", async () => {
  const url = "ws://127.0.0.1:1";
  const bad: [unknown, string][] = [
    [7, "reconnect:"],
    [null, "reconnect:"],
    [{ maxAttempts: 0 }, "reconnect.maxAttempts:"],
    [{ baseMs: "1" }, "reconnect.baseMs:"],
    [{ baseMs: 0 }, "reconnect.baseMs:"],
    [
      { baseMs: 10, capMs: 5 },
      "reconnect.capMs: expected at least reconnect.baseMs (10ms), got 5ms",
    ],
    [
      { baseMs: Number.POSITIVE_INFINITY },
      "reconnect.baseMs: expected milliseconds, less than a year, got Infinity",
    ],
  ];
  for (const [reconnect, words] of bad) {
    const error = thrown(() => createAppServerClient({ url, reconnect: reconnect as never }));
    expect(error).toBeInstanceOf(InvalidOption);
    expect((error as Error).message).toContain(words);
  }
  expect(await rejection(connect({ url, reconnect: true }))).toBeInstanceOf(ConnectionFailed);
});

it("goes on with a turn on the second connection", async () => {
  const pieces = Array.from({ length: 60 }, (_, n) => `${n} `);
  const mock = await startMock([{ text: pieces, delayMs: 5 }]);
  const client = await connected(mock, { reconnect: FAST, standby: true });
  const states = statesOf(client);
  const ready = async () => {
    while (client.stats.standby !== "ready") await new Promise((resolve) => setImmediate(resolve));
  };
  const session = await client.session({ agentId: "a" });
  await ready();
  const turn = session.send("count");
  const heard: string[] = [];
  for await (const text of turn.textStream()) {
    heard.push(text);
    if (heard.length !== 5 && heard.length !== 25) continue;
    await ready();
    mock.cutConnection(0);
    await states.until("open", heard.length === 5 ? 1 : 2);
  }
  const result = await turn;
  expect(heard.join("")).toBe(pieces.join(""));
  expect([result.text, result.delivery]).toEqual([pieces.join(""), "sent"]);
  expect(client.stats.reconnects).toBe(2);
  expect(states.seen).toEqual(["reconnecting", "open", "reconnecting", "open"]);
  expect(
    thrown(() => createAppServerClient({ url: mock.url, standby: 1 as never })),
  ).toBeInstanceOf(InvalidOption);
});
