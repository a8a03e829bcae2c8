/** The command `letta-app`; what it does is the engine's (`letta-app --help`). */

import { cli } from "./native.cjs";

// The engine has written all of it when this returns.
process.exitCode = cli(process.argv.slice(2));
