/** Adding up what turns used. */

import type { TurnResult, Usage } from "./results.js";

/** What a turn adds to a sum, of which this is known. */
export function counted(known: TurnResult | null | undefined): Usage {
  return known ? (known.ownUsage ?? known.usage) : noUsage();
}

/** The result, with what an earlier part of it has used. */
export function withBefore(result: TurnResult, before: TurnResult | undefined): TurnResult {
  if (!before) return result;
  const usage = sumUsage(before.usage, result.usage);
  const shares = before.ownUsage !== null || result.ownUsage !== null;
  const ownUsage = shares ? sumUsage(counted(before), counted(result)) : null;
  return { ...result, usage, ownUsage };
}

/** Nothing used yet. */
export function noUsage(): Usage {
  return {
    promptTokens: 0,
    completionTokens: 0,
    totalTokens: 0,
    cachedInputTokens: 0,
    cacheWriteTokens: 0,
    reasoningTokens: 0,
    stepCount: 0,
    contextTokens: null,
  };
}

/** Adds token counts; the size of the context window is the later one's. */
export function sumUsage(one: Usage, other: Usage): Usage {
  return {
    promptTokens: one.promptTokens + other.promptTokens,
    completionTokens: one.completionTokens + other.completionTokens,
    totalTokens: one.totalTokens + other.totalTokens,
    cachedInputTokens: one.cachedInputTokens + other.cachedInputTokens,
    cacheWriteTokens: one.cacheWriteTokens + other.cacheWriteTokens,
    reasoningTokens: one.reasoningTokens + other.reasoningTokens,
    stepCount: one.stepCount + other.stepCount,
    contextTokens: other.contextTokens ?? one.contextTokens,
  };
}
