/** What many turns came to. */

import { types } from "node:util";
import { show } from "./checks.js";
import { describe, isError } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { reportHandlerError } from "./handlers.js";
import type { TurnResult, Usage } from "./results.js";
import type { Prompt } from "./session.js";

/** What became of one prompt: a `result`, or an `error`. */
export type BatchItem<Result extends TurnResult = TurnResult> =
  | { prompt: Prompt; agentId: string; result: Result; error?: undefined }
  | { prompt: Prompt; agentId: string; error: Error; result?: undefined };

/** How far it has come; told when a prompt is done. */
export interface BatchProgress<Result extends TurnResult = TurnResult> {
  /** How many prompts are done, this one included. */
  done: number;
  /** How many there are. */
  total: number;
  /** The place of this one among the prompts, counted from 0. */
  index: number;
  /** What became of it. */
  item: BatchItem<Result>;
}

/** What all prompts came to. */
export interface Batch<Result extends TurnResult = TurnResult> {
  /** One for each prompt, in their order. */
  readonly items: readonly BatchItem<Result>[];
  /** Token counts of all turns, summed; those of turns that failed among them. What turns share counts once. */
  readonly usage: Usage;
}

/** Whoever watches; what it throws is reported, and changes nothing. */
export function tell(
  onProgress: ((progress: BatchProgress) => unknown) | undefined,
  progress: BatchProgress,
): void {
  const failed = (error: unknown) => reportHandlerError("onProgress", error);
  try {
    const returned = onProgress?.(progress);
    // An async function's rejection would otherwise end the process.
    if (types.isPromise(returned)) returned.catch(failed);
  } catch (error) {
    failed(error);
  }
}

export function checkedObserver(onProgress: unknown): void {
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw new InvalidOption(`onProgress: expected a function, got ${show(onProgress)}`);
  }
}

export function asError(error: unknown): Error {
  return isError(error) ? error : new Error(describe(error));
}
