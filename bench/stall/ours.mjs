/** The Node package while its program blocks the event loop: `ours.mjs URL SECONDS`. */

import { connect, Disconnected } from "../../bindings-node/dist/esm/index.js";
import { Report, stall } from "./report.mjs";

const [url, seconds] = process.argv.slice(2);
const report = new Report();
const client = await connect(url);
const { runtime } = await client.runtimeStart({ agent_id: "a", mode: "standard" });
const messages = [{ role: "user", content: "a long story" }];
const payload = { kind: "create_message", messages };
try {
  for await (const event of client.sendTurn({ runtime, payload })) {
    if (event.type === "lagged") report.deltas += event.merged;
    if (event.type !== "assistant_delta") continue;
    report.delta(event.text);
    if (report.deltas === 1) report.stalled = stall(Number(seconds));
  }
} catch (error) {
  if (!(error instanceof Disconnected)) throw error;
  report.lost(error.closeCode, error.message);
}
if (client.stats.reconnects > 0) report.lost(null, "connected again");
await client.close();
report.print();
