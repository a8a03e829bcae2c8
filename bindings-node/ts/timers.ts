/**
 * Node's timers as they were when this package was loaded: fake ones of tests take the place of the global
 * functions, and some also of those of `node:timers`. No turn and no end of a client may wait for those, also where
 * they were there before this package: what is needed for that is then done without timers.
 */

import * as timers from "node:timers";
import { outside } from "./context.js";
import { Port } from "./port.js";

export const { clearTimeout, setTimeout } = timers;

/** Whether a function is Node's own, which says so; where it does not, the other way is as good. */
const makes = (timer: unknown, name: string) =>
  Function.prototype.toString.call(timer).includes(`new ${name}(`);

const loop = makes(timers.setImmediate, "Immediate") ? undefined : outside(() => new Port());

/** Calls a function once the code that is under way has run, and what was waiting before. */
export const setImmediate: (call: () => void) => unknown = loop
  ? (call) => loop.soon(call)
  : timers.setImmediate;

/** Keeps the process alive until it is told to let go. */
export interface Alive {
  ref(): unknown;
  unref(): unknown;
}

/** The longest interval there is; its callback does nothing. */
const IDLE_MS = 2 ** 31 - 1;

/** It outlives whoever wants it first. */
export function keepAlive(): Alive {
  const real = makes(timers.setInterval, "Timeout");
  return outside(() => (real ? timers.setInterval(() => {}, IDLE_MS) : new Port().ref()));
}
