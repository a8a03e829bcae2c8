/** Keeps the process alive for what was started and is waited for through message handlers. */

// Not the global ones, which tests replace by fake timers.
import { clearTimeout, setTimeout } from "node:timers";
import type { WsProtocolMessage } from "./protocol.js";

/** How long a runtime may take to show that it works on an input. */
const START_MS = 30_000;
/** `turn_finished` and the mark of an abort come after the idle status. */
const LINGER_MS = 1_000;
/** The longest time there is. */
const FOREVER_MS = 2 ** 31 - 1;

interface Scoped {
  runtime?: { agent_id?: unknown; conversation_id?: unknown } | undefined;
}

const keyOf = ({ runtime }: Scoped) =>
  JSON.stringify([runtime?.agent_id, runtime?.conversation_id]);

/**
 * A program may send an `input` and wait for the turn's events in a message handler, with no call
 * pending. So a runtime that was given an input here counts as pending until it is idle again.
 */
export class RunningInputs {
  readonly #timers = new Map<string, NodeJS.Timeout>();

  /** A command is sent. */
  sent(command: Scoped & { type?: unknown }): void {
    if (command.type === "input" && command.runtime) this.#hold(keyOf(command), START_MS);
  }

  /** A message came. */
  received(message: WsProtocolMessage): void {
    if (message.type !== "update_loop_status" || this.#timers.size === 0) return;
    const key = keyOf(message);
    if (!this.#timers.has(key)) return;
    const idle = message.loop_status?.status === "WAITING_ON_INPUT";
    this.#hold(key, idle ? LINGER_MS : FOREVER_MS);
  }

  /** The connection is gone: nothing will come any more. */
  clear(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #hold(key: string, ms: number): void {
    clearTimeout(this.#timers.get(key));
    this.#timers.set(
      key,
      setTimeout(() => this.#timers.delete(key), ms),
    );
  }
}
