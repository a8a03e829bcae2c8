/** The client that comes with the App Server, on `ws`: `reference.mjs URL SECONDS`. */

import WebSocket from "ws";
import { serverRequire } from "../../tests/live/setup.mjs";
import { Report, stall } from "./report.mjs";

// The pinned version that the tests run; it is installed with the server.
const { createAppServerClient } = serverRequire("@letta-ai/letta-code/app-server-client");

const [url, seconds] = process.argv.slice(2);
const report = new Report();
const client = createAppServerClient({ url, WebSocket });

const over = new Promise((resolve) => {
  client.onDisconnect(({ event }) => {
    // What `ws` tells: the code and the reason, or one event with both.
    const { code, reason } = typeof event === "object" ? event : { code: event, reason: "" };
    report.lost(code, String(reason));
    resolve();
  });
  client.onMessage((frame) => {
    if (frame.type === "turn_finished") resolve();
    if (frame.type !== "stream_delta" || frame.delta.message_type !== "assistant_message") return;
    report.delta(frame.delta.content.map((part) => part.text).join(""));
    if (report.deltas === 1) report.stalled = stall(Number(seconds));
  });
});

await client.connect();
const { runtime } = await client.runtimeStart({ agent_id: "a", mode: "standard" });
const messages = [{ role: "user", content: "a long story" }];
client.input({ runtime, payload: { kind: "create_message", messages } });
await over;
client.close();
report.print();
