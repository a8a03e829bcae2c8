/** Turns that were sent already, waited for together. */

import {
  asError,
  type Batch,
  type BatchItem,
  type BatchProgress,
  checkedObserver,
  tell,
} from "./batch.js";
import { check, checkedOptions, type NamesOf, show } from "./checks.js";
import { AbortError, InvalidOption, isLettaAppError } from "./errors.js";
import { checkedSignal } from "./options.js";
import { onAbort } from "./signals.js";
import type { Turn } from "./turn.js";
import { counted, noUsage, sumUsage } from "./usage.js";

/** How turns are gathered. */
export interface GatherOptions {
  /** Called when a turn has ended. One that throws is reported as a process warning, and changes nothing. */
  onProgress?: ((progress: BatchProgress) => void) | undefined;
  /**
   * Whether the first turn that fails stops the others and is what `gather` rejects with. `false` by default: its item
   * has the error, and the others go on.
   */
  check?: boolean | undefined;
  /** Stops the turns that have not ended. */
  signal?: AbortSignal | null | undefined;
}

const NAMES: NamesOf<GatherOptions> = {
  onProgress: "function",
  check: "boolean",
  signal: "signal",
};

/**
 * Waits for turns that were sent already, with `Session.send` or `AppServerClient.sendTurn`: in any
 * conversations, of any clients. Like `Promise.allSettled`, with what `map` gives: resolves when the last one
 * has ended, with one item for each turn in their order. A turn that fails, as `Session.run` does, is an item
 * with an `error`, although awaiting a turn of `send` gives its result; the others go on, unless `check` says
 * otherwise. Sends nothing.
 *
 * ```ts
 * const batch = await gather([here.send("Check the tests."), there.send("Check the docs.")]);
 * for (const { agentId, result, error } of batch.items) console.log(agentId, error ?? result.text);
 * ```
 *
 * `signal` stops the turns that have not ended on the server; then it rejects with {@link AbortError}. With `check`
 * it stops them when the first one fails, and rejects with what `Session.run` rejects with of that.
 *
 * Rejects with {@link InvalidOption} for what is no turn, or no option; no turn is stopped then.
 */
export async function gather(turns: Iterable<Turn>, options: GatherOptions = {}): Promise<Batch> {
  const given = checkedTurns(turns);
  const { onProgress, signal, check: checks } = checkedOptions(options, NAMES);
  checkedObserver(onProgress);
  check("check", checks, "boolean");
  checkedSignal(signal);

  const items: BatchItem[] = [];
  let done = 0;
  let failed = false;
  const take = async (turn: Turn, index: number) => {
    const item = await itemOf(turn);
    if (signal?.aborted || failed) return;
    if (checks && item.error) {
      failed = true;
      stop(given);
      throw item.error;
    }
    items[index] = item;
    done += 1;
    tell(onProgress, { done, total: given.length, index, item });
  };
  await unlessAborted(Promise.all(given.map(take)), given, signal);

  // One that is given twice was paid for once.
  const ended = new Map(given.map((turn, index) => [turn, items[index] as BatchItem]));
  const usages = Array.from(ended.values(), usageOf);
  return { items, usage: usages.reduce(sumUsage, noUsage()) };
}

async function itemOf(turn: Turn): Promise<BatchItem> {
  const { prompt, agentId } = turn;
  try {
    const result = await turn;
    const error = turn.unended(result);
    return error ? { prompt, agentId, error } : { prompt, agentId, result };
  } catch (error) {
    return { prompt, agentId, error: asError(error) };
  }
}

function usageOf({ result, error }: BatchItem) {
  return counted(isLettaAppError(error) ? error.result : result);
}

/** How they end is told to those who await them. */
function stop(turns: readonly Turn[]): void {
  for (const turn of turns) turn.abort().catch(() => {});
}

/** Waits for it; the signal stops the turns, and ends the wait at once. */
async function unlessAborted(
  work: Promise<unknown>,
  turns: readonly Turn[],
  signal: AbortSignal | null | undefined,
): Promise<void> {
  if (!signal) {
    await work;
    return;
  }
  let off = () => {};
  const aborted = new Promise<never>((_, reject) => {
    const end = () => {
      stop(turns);
      reject(new AbortError(signal.reason));
    };
    if (signal.aborted) end();
    else off = onAbort(signal, end);
  });
  try {
    await Promise.race([aborted, work]);
  } finally {
    off();
  }
}

function checkedTurns(turns: Iterable<Turn>): readonly Turn[] {
  const iterable = typeof turns === "object" && turns !== null && Symbol.iterator in turns;
  if (!iterable) throw new InvalidOption(`turns: expected a list of turns, got ${show(turns)}`);
  const given = [...turns];
  for (const turn of given) {
    // Not by its class: a program may have this package twice, as a module and for `require`.
    const { abort, agentId } = (turn ?? {}) as Partial<Turn>;
    if (typeof abort !== "function" || typeof agentId !== "string") {
      throw new InvalidOption(`turns: expected what send returned, got ${show(turn)}`);
    }
  }
  return given;
}
