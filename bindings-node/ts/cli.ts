/** The command `letta-app`; what it does is the engine's (`letta-app --help`). */

import { cli } from "./native.cjs";

// The engine hears Ctrl-C itself. Node's own handler, which is there as long as nobody listens, would raise the signal
// again and again: it expects to have been taken away, and the engine's is still there.
const listener = () => {};
process.on("SIGINT", listener);
try {
  // The engine has written all of it when this returns.
  process.exitCode = cli(process.argv.slice(2));
} finally {
  process.off("SIGINT", listener);
}
