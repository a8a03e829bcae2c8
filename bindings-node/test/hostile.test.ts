import { createHash } from "node:crypto";
import type net from "node:net";
import { inspect } from "node:util";
import { connect, rawText, TooManyRequests } from "@letta/app-client-native";
import { expect, it } from "vitest";
import { connected, rawServer, rejection, startMock } from "./helpers.js";

const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
const NUMBER = "9".repeat(100_000);

/** Texts that reach user code as they came (docs/hostile-input.md). */
const DELIVERED = {
  "127 levels": `{"type":"x","deep":${nested(126)}}`,
  "a number of 100,000 digits": `{"type":"x","n":${NUMBER}}`,
  "the same in a known type": `{"type":"turn_finished","n":${NUMBER}}`,
  "a number above every float": '{"type":"x","n":1e999999}',
  "a lone surrogate as an escape": '{"type":"x","text":"\\ud800"}',
  "one field twice": '{"type":"x","a":1,"a":2}',
  "the type twice": '{"type":"x","type":"y"}',
  "an object without a type": '{"a":1}',
  "a type that is no text": '{"type":7}',
  "fields of the wrong types": '{"type":"turn_finished","runtime":3,"request_id":[]}',
  "a delta of the wrong type": '{"type":"stream_delta","delta":7,"runtime":{"agent_id":1}}',
  "an approval without a question": '{"type":"control_request","request_id":"q","request":7}',
  "a tool call without a name": '{"type":"external_tool_call_request","request_id":"t"}',
  "an answer to nobody": '{"type":"sync_response","request_id":"nobody"}',
  "names of methods": '{"type":"x","__proto__":{"y":1},"constructor":2,"toString":3,"then":4}',
};
/** Those that cost themselves only. */
const DROPPED = {
  "100,000 nested arrays": `{"type":"x","deep":${nested(100_000)}}`,
  "100,000 nested objects": `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`,
  "a lone surrogate as the type": '{"type":"\\ud800"}',
  "no JSON": "hello",
  "an empty message": "",
  "JSON that is no object": "[1,2]",
};
const LAST = '{"type":"last"}';

function frame(text: string): Buffer {
  const data = Buffer.from(text);
  const head = Buffer.alloc(10);
  head.writeUInt16BE(0x817f);
  head.writeBigUInt64BE(BigInt(data.length), 2);
  return Buffer.concat([head, data]);
}

/** Answers the handshake, and says it all when the client says something. */
function serve(socket: net.Socket, texts: string[]): void {
  let upgraded = false;
  socket.on("data", (data) => {
    if (upgraded) {
      if (data[0] === 0x88) socket.end();
      for (const text of texts.splice(0)) socket.write(frame(text));
      return;
    }
    upgraded = true;
    const key = data.toString().match(/sec-websocket-key: (.*)\r\n/i)?.[1];
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
    socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${accept.digest("base64")}\r\n\r\n`,
    );
  });
}

it("readers go on whatever comes", async () => {
  const delivered = Object.values(DELIVERED);
  const dropped = Object.values(DROPPED);
  const port = await rawServer((socket) => serve(socket, [...dropped, ...delivered, LAST]));
  await using client = await connect({ url: `ws://127.0.0.1:${port}`, transport: "single" });
  const seen: (string | undefined)[] = [];
  client.onMessage((message) => {
    seen.push(rawText(message));
    inspect(message, { depth: null });
  });
  client.onMessage(() => {}, { types: ["last"] });
  client.onMessage(() => {}, { runtime: { agent_id: "a", conversation_id: "c" } });
  client.onExternalToolCall(() => ({ content: [{ type: "text", text: "done" }] }));
  client.onApprovalRequest(() => ({ behavior: "deny", message: "no" }));
  const messages = client.messages({ types: ["last"] });
  client.sendRaw({ type: "begin" });
  for await (const message of messages) {
    expect(message.type).toBe("last");
    break;
  }
  expect(seen).toEqual([...delivered, LAST]);
  expect(client.state).toBe("open");
  expect(client.stats).toMatchObject({ malformed: dropped.length, handlerErrors: 0 });
  expect(({} as { y?: unknown }).y, "no prototype was changed").toBeUndefined();
});

it("more requests than the limit are not sent", async () => {
  const mock = await startMock();
  const client = await connected(mock, { maxPendingRequests: 1 });
  const abort = new AbortController();
  const waiting = rejection(client.request("list_models", {}, { signal: abort.signal }));
  await mock.waitReceived("list_models");
  const error = (await rejection(client.request("list_models"))) as TooManyRequests;
  expect(error).toBeInstanceOf(TooManyRequests);
  expect(error.message).toMatch(/^maxPendingRequests: 1 /);
  expect(error.retryable).toBe(true);
  abort.abort();
  await waiting;
  expect((await client.info()).success).toBe(true);
  expect(mock.receivedOf("list_models")).toHaveLength(1);
});
