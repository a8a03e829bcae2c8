/** The command `letta-app`; what it does is the engine's (`letta-app --help`). */

import { cli } from "./native.cjs";

// The engine hears Ctrl-C and SIGTERM itself. Node's own handlers, which are there as long as nobody listens, would raise
// the signal again and again: they expect to have been taken away, and the engine's are still there.
const SIGNALS = ["SIGINT", "SIGTERM"] as const;
const listener = () => {};
for (const signal of SIGNALS) process.on(signal, listener);
try {
  // The engine has written all of it when this returns.
  process.exitCode = cli(process.argv.slice(2));
} finally {
  for (const signal of SIGNALS) process.off(signal, listener);
}
