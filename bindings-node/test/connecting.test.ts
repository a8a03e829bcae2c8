import net from "node:net";
import {
  AbortError,
  AuthError,
  ClientClosed,
  ConnectionFailed,
  connect,
  createAppServerClient,
  Disconnected,
  ProtocolMismatch,
} from "@letta/app-client-native";
import { MockServer } from "@letta/app-client-native/testing";
import { describe, expect, it } from "vitest";
import { connected, rawServer, rejection, startMock, startRuntime } from "./helpers.js";

const answer = (status: string) =>
  `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`;

async function failure(port: number, options = {}): Promise<Error> {
  return (await rejection(connect({ url: `ws://127.0.0.1:${port}`, ...options }))) as Error;
}

describe("connecting fails in words", () => {
  it("when nobody listens", async () => {
    const mock = await MockServer.start();
    const { url } = mock;
    await mock.close();
    const error = (await rejection(connect(url))) as ConnectionFailed;
    expect(error).toBeInstanceOf(ConnectionFailed);
    expect(error.retryable).toBe(true);
    expect(error.message).toContain("refused");
    expect(error.message).toContain(new URL(url).host);
  });

  it("when the token is missing or wrong", async () => {
    const mock = await startMock({ token: "right" });
    const missing = (await rejection(connect(mock.url))) as Error;
    expect(missing).toBeInstanceOf(AuthError);
    expect(missing.message).toContain("missing websocket bearer token");
    const wrong = (await rejection(connect({ url: mock.url, authToken: "wr0ng" }))) as Error;
    expect(wrong).toBeInstanceOf(AuthError);
    expect(wrong.message).toContain("invalid websocket bearer token");
    expect(wrong.message).not.toContain("wr0ng");
  });

  it("when the path does not exist", async () => {
    const mock = await startMock();
    const error = (await rejection(connect(`${mock.url}/elsewhere`))) as Error;
    expect(error).toBeInstanceOf(ConnectionFailed);
    expect(error.message).toContain("404");
  });

  it("when the other side is no WebSocket server", async () => {
    const port = await rawServer((socket) => socket.on("data", () => socket.end(answer("200 OK"))));
    const error = await failure(port);
    expect(error).toBeInstanceOf(ConnectionFailed);
    expect(error.message).toContain("not a WebSocket");
  });

  it("when the other side does not speak HTTP", async () => {
    const port = await rawServer((socket) => socket.end("SSH-2.0-OpenSSH_9.0\r\n"));
    const error = await failure(port);
    expect([ProtocolMismatch, ConnectionFailed].some((kind) => error instanceof kind)).toBe(true);
  });

  it("when the handshake takes too long", async () => {
    const port = await rawServer(() => {});
    const error = await failure(port, { connectTimeoutMs: 100 });
    expect(error).toBeInstanceOf(ConnectionFailed);
    expect(error.message).toMatch(/0\.1 s|100 ms/);
  });
});

it("connects with the right token", async () => {
  const mock = await startMock({ token: "right" });
  const client = await connected(mock, { authToken: " right " });
  expect(client.state).toBe("open");
  expect(client.serverInfo?.letta_code_version).toBe("0.30.28");
});

it("connects to a split server", async () => {
  const mock = await startMock({ generation: "split", turnEvents: false, correlation: false });
  const client = await connected(mock);
  expect(client.serverInfo).toBeNull();
  const runtime = await startRuntime(client);
  expect(await client.sync({ runtime })).toMatchObject({ success: true });
  expect(mock.connections).toBe(2);
});

it("can be built before the server listens, and tried again", async () => {
  let accept = false;
  const mock = await startMock();
  const port = await rawServer((socket) => {
    if (!accept) socket.destroy();
    else socket.pipe(net.connect(Number(new URL(mock.url).port), "127.0.0.1")).pipe(socket);
  });
  const client = createAppServerClient({ url: `ws://127.0.0.1:${port}` });
  const [waiting, reading] = [client.messages(), client.messages({ types: ["brand_new"] })];
  const ended = rejection(waiting.next());
  expect(await rejection(client.connect())).toBeInstanceOf(ConnectionFailed);
  expect(client.state).toBe("disconnected");
  // Nobody connects: who waits is told, who begins to is as well, and who reads later has missed nothing.
  for (const error of [await ended, await rejection(client.messages().next())]) {
    expect(error).toBeInstanceOf(Disconnected);
    expect((error as Disconnected).reason).toMatch(/no attempt has succeeded/);
  }
  expect(await rejection(client.connect())).toBeInstanceOf(ConnectionFailed);
  accept = true;
  expect(await client.connect()).toBe(client);
  expect(await client.connect()).toBe(client);
  mock.push({ type: "brand_new" });
  expect((await reading.next()).value).toMatchObject({ type: "brand_new" });
  await client.close();
});

it("reports the end of a connection once, and can connect again", async () => {
  const mock = await startMock();
  const client = await connected(mock, { reconnect: false });
  const ends: unknown[] = [];
  const ended = new Promise<void>((resolve) => {
    client.onDisconnect((end) => {
      ends.push(end);
      resolve();
    });
  });
  const pending = rejection(client.request("list_models"));
  await mock.waitReceived("list_models");
  mock.cutConnections();
  expect(await pending).toBeInstanceOf(Disconnected);
  await ended;
  const event = { code: 1006, reason: expect.any(String) };
  expect(ends).toEqual([{ channel: "control", event, willReconnect: false }]);
  expect(client.state).toBe("disconnected");
  expect(await rejection(client.info())).toBeInstanceOf(Disconnected);
  await client.connect();
  expect((await client.info()).success).toBe(true);
  await client.close();
  expect(ends).toHaveLength(1);
});

it("needs a connection before it sends", async () => {
  const client = createAppServerClient({ url: "ws://127.0.0.1:1" });
  const error = await rejection(client.info());
  expect(error).toBeInstanceOf(Disconnected);
  expect((error as Disconnected).hint).toContain("connect");
  await client.close();
});

it("closes for good", async () => {
  const mock = await startMock();
  const client = await connected(mock);
  const pending = rejection(client.request("list_models"));
  const closing = client.close();
  expect(client.close()).toBe(closing);
  expect(client.state).toBe("closed");
  expect(await pending).toBeInstanceOf(ClientClosed);
  await closing;
  expect(await rejection(client.connect())).toBeInstanceOf(ClientClosed);
});

it("stops waiting for a connection when the signal says so", async () => {
  const port = await rawServer(() => {});
  const client = createAppServerClient({ url: `ws://127.0.0.1:${port}` });
  const reason = new Error("changed my mind");
  const abort = new AbortController();
  const connecting = rejection(client.connect({ signal: abort.signal }));
  abort.abort(reason);
  const error = await connecting;
  expect(error).toBeInstanceOf(AbortError);
  expect(error).toMatchObject({ name: "AbortError", cause: reason });
  await client.close();
});
