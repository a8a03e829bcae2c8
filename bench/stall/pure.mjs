/** A client that one writes in an hour, on `ws`: `pure.mjs URL SECONDS`. */

import WebSocket from "ws";
import { Report, stall } from "./report.mjs";

const [url, seconds] = process.argv.slice(2);
const report = new Report();
const socket = new WebSocket(`${url}/ws`);
const send = (command) => socket.send(JSON.stringify(command));
let done = false;

socket.on("open", () =>
  send({ type: "runtime_start", request_id: "1", agent_id: "a", mode: "standard" }),
);

socket.on("message", (data) => {
  const frame = JSON.parse(data);
  switch (frame.type) {
    case "runtime_start_response": {
      const messages = [{ role: "user", content: "a long story" }];
      const payload = { kind: "create_message", messages };
      send({ type: "input", request_id: "2", runtime: frame.runtime, payload });
      break;
    }
    case "stream_delta":
      if (frame.delta.message_type !== "assistant_message") break;
      report.delta(frame.delta.content.map((part) => part.text).join(""));
      if (report.deltas === 1) report.stalled = stall(Number(seconds));
      break;
    case "turn_finished":
      done = true;
      socket.close();
      break;
    default:
  }
});

let failure = "";
socket.on("error", (error) => {
  failure = error.message;
});

socket.on("close", (code, reason) => {
  if (!done) report.lost(code, String(reason) || failure);
  report.print();
});
