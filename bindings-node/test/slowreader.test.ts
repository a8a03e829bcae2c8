/** The server double with the limits of a real server for clients that read too slowly. */

import { once } from "node:events";
import net from "node:net";
import { MockServer } from "@letta/app-client-native/testing";
import { expect, it } from "vitest";
import { prepared, rejection, say, startMock } from "./helpers.js";

const HEAD = [
  "GET /ws HTTP/1.1",
  "Host: h",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

it("drops a client that answers no ping", async () => {
  const mock = await startMock({ slowReaderLimits: { pongTimeoutMs: 100 } });
  const mute = net.connect(Number(new URL(mock.url).port), "127.0.0.1");
  mute.write(`${HEAD.join("\r\n")}\r\n\r\n`);
  mute.resume();
  await once(mute, "close");
  expect(mock.terminated).toEqual([
    { afterMs: expect.any(Number), reason: expect.stringMatching(/^no pong for 0 s$/) },
  ]);
  expect(mock.terminated[0]?.afterMs).toBeGreaterThanOrEqual(100);
});

it("bears one that is busy for longer than that, because its connection is not", async () => {
  const { mock, client, runtime } = await prepared({
    slowReaderLimits: { pongTimeoutMs: 300 },
    pingIntervalMs: 50,
    turns: [{ text: ["a", "b", "c"], spreadMs: 900 }],
  });
  const turn = client.sendTurn({ runtime, payload: say("hi") });
  await mock.waitReceived("input");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  expect((await turn).text).toBe("abc");
  expect([mock.terminated, client.stats.reconnects]).toEqual([[], 0]);
});

it("refuses limits that there are not", async () => {
  const slowReaderLimits = { pauseBytes: -1 };
  expect(String(await rejection(MockServer.start({ slowReaderLimits })))).toMatch(
    /slowReaderLimits.pauseBytes: expected/,
  );
});
