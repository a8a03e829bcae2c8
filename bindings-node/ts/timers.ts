/**
 * Node's timers as they were when this package was loaded: fake ones of tests take the place of the global
 * functions, and some also of those of `node:timers`. Nothing here may wait for them.
 */

import * as timers from "node:timers";

export const { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } = timers;
