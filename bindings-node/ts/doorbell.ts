/** How the engine's thread calls whoever waits for it. */

import { outside } from "./context.js";
import { Doorbell } from "./native.cjs";

const hanging = new Map<number, () => void>();
let doorbell: Doorbell | undefined;
let last = 0;

/** One for all bells: what is behind it takes more than a kilobyte. */
function shared(): Doorbell {
  doorbell ??= outside(() => new Doorbell((bell) => hanging.get(bell)?.()));
  return doorbell;
}

/** Calls a function when the native half that was given its number rings. */
export class Bell {
  readonly #number = ++last;
  readonly #ring: () => void;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Makes that native half. From then on the function is kept, until the bell is taken down. */
  hang<T>(make: (doorbell: Doorbell, bell: number) => T): T {
    const made = make(shared(), this.#number);
    hanging.set(this.#number, this.#ring);
    return made;
  }

  /** Nothing is called any more. */
  takeDown(): void {
    hanging.delete(this.#number);
  }
}
