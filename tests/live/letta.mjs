/**
 * Stands in for the command `letta` where a program starts a server of its own:
 *
 *     node tests/live/letta.mjs server --listen ws://127.0.0.1:0 …
 *
 * It is the real server, with the scripted model, in a fresh folder that goes with it.
 */

import { startLive } from "./harness.mjs";

const live = await startLive({ args: process.argv.slice(2) });
console.log(`Listening on ${live.info.url}`);
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  // Leaving is enough: the supervisor ends with this process.
  process.once(signal, () => process.exit(0));
}
// The harness itself keeps no process alive.
setInterval(() => {}, 1_000_000);
const reason = await live.ended;
console.error(`the server ended: ${reason}`);
process.exit(1);
