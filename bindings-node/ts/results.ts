/** What a turn came to. */

import { parsedFrame } from "./messages.js";
import type { LongText } from "./native.cjs";
import type { RuntimeScope, WsProtocolMessage } from "./protocol.js";

/** The outcome of a turn in one word. */
export type TurnStatus = "completed" | "aborted" | "failed" | "requires_approval" | "disconnected";

/** What showed that the turn was over (sections 17.2 and 17.3). */
export type CompletedBy =
  /** `turn_finished` of one of the turn's runs. */
  | "turn_finished"
  /** A final `stop_reason`, confirmed by an idle loop status (servers without `turn_finished`). */
  | "stop_reason"
  /** A terminal `loop_error` (servers without `turn_finished`). */
  | "loop_error"
  /** The mark of an abort (servers without `turn_finished`). */
  | "interrupted"
  /** A permission is wanted, and the caller asked to be told instead of waiting. */
  | "loop_status_waiting_on_approval"
  /** The input was removed from the queue. */
  | "removed_from_queue"
  /**
   * The stored conversation: the turn's end was seen, but its connection was lost before all of it had come.
   */
  | "stored_messages";

/** Token counts, summed over the runs of a turn. */
export interface Usage {
  /** Tokens of the prompts. */
  promptTokens: number;
  /** Tokens of the answers. */
  completionTokens: number;
  /** Their sum, as the server counts it. */
  totalTokens: number;
  /** Prompt tokens read from the provider's cache. */
  cachedInputTokens: number;
  /** Prompt tokens written to the provider's cache. */
  cacheWriteTokens: number;
  /** Tokens spent on reasoning. */
  reasoningTokens: number;
  /** Steps taken. */
  stepCount: number;
  /** Tokens in the context window after the last run; this one is not a sum. */
  contextTokens: number | null;
}

/** One tool call of a turn. */
export interface ToolCall {
  /** The model's id of the call. */
  id: string;
  /** The tool. */
  name: string;
  /** The arguments as JSON text, as the model wrote them. */
  arguments: string;
  /** `success` or `error`; `null` if it is not known. */
  status: string | null;
  /** What the tool returned. */
  output: string | null;
  /** The run that called it. */
  runId: string;
}

/** The text that one run contributed. */
export interface RunText {
  /** The run. */
  runId: string;
  /** What the assistant said in it. */
  text: string;
  /** Whether the run failed and was retried, so that its text does not count. */
  withdrawn: boolean;
}

/** One message of a turn, or a tool call between messages. */
export type TurnMessage =
  /** Said, or only thought. */
  | { type: "assistant" | "reasoning"; text: string; runId: string; messageId: string }
  /** The same object as in `toolCalls`. */
  | { type: "tool_call"; call: ToolCall };

/** How an input reached its turn. */
export type InputDelivery =
  /** It was sent once, and the connection held. */
  | "sent"
  /** The connection was lost; the result contains what the server has stored, which may be incomplete. */
  | "recovered"
  /** The stored conversation proved that the input had not arrived, and it was sent again. */
  | "resent"
  /** It is known not to have arrived, and was not sent again. */
  | "undelivered"
  /** Nobody knows whether it arrived. */
  | "unknown";

/** The outcome of a turn or, inside an error, what is known of it. */
export interface TurnResult {
  /** Agent and conversation. */
  runtime: RuntimeScope;
  /** The outcome in one word; `null` only inside an error that was raised before the outcome was known. */
  status: TurnStatus | null;
  /** The server's word for why the turn ended, such as `end_turn`; unknown words are kept. */
  stopReason: string | null;
  /** The assistant's text of all runs in order, without runs that failed and were retried. */
  text: string;
  /** The text run by run. */
  runs: RunText[];
  /** The tool calls in order. */
  toolCalls: ToolCall[];
  /**
   * What was said and thought, message by message, with the tool calls between them; without runs
   * that failed and were retried.
   */
  messages: TurnMessage[];
  /** The tokens of all runs. */
  usage: Usage;
  /**
   * The part of `usage` that no turn which has ended before has in its own, where that is less than all: turns that the
   * server has answered together (`mergedWith`) share runs. What several turns used is the sum of these.
   */
  ownUsage: Usage | null;
  /** The server's message for people, if the turn failed. */
  error: string | null;
  /** The runs in order. */
  runIds: string[];
  /** The ids of the messages that this input carried. */
  clientMessageIds: string[];
  /** Ids of other inputs' messages that the same turn answered (section 10). */
  mergedWith: string[];
  /** The server's id of the turn's batch; it cannot be used to match a turn to its input (section 10). */
  turnId: string | null;
  /** `started` or `queued`, where the server said so. */
  disposition: string | null;
  /** What showed that the turn was over; `null` where nothing did, which only an error's result can say. */
  completedBy: CompletedBy | null;
  /** The frame that showed that the turn was over. */
  terminalMessage: WsProtocolMessage | null;
  /** Milliseconds from sending the input to the end. */
  durationMs: number;
  /** How many runs failed and were retried. */
  retries: number;
  /**
   * Whether the runtime's state was lost while the turn ran; nobody can approve or abort anything in such a
   * turn (section 18).
   */
  detached: boolean;
  /** How the input reached its turn, if connections were lost (section 16). */
  delivery: InputDelivery;
}

/** The engine's form of token counts. */
export interface NativeUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  cached_input_tokens: number;
  cache_write_tokens: number;
  reasoning_tokens: number;
  step_count: number;
  context_tokens: number | null;
}

/** The engine's form of a message. */
type NativeMessage =
  | { type: "assistant" | "reasoning"; text: string; run_id: string; message_id: string }
  | { type: "tool_call"; index: number };

/** The engine's form of a result. */
export interface NativeResult {
  runtime: RuntimeScope;
  status: TurnStatus | null;
  stop_reason: string | null;
  text: string;
  runs: { run_id: string; text: string; withdrawn: boolean }[];
  tool_calls: (Omit<ToolCall, "runId"> & { run_id: string })[];
  messages: NativeMessage[];
  usage: NativeUsage;
  own_usage?: NativeUsage;
  error: string | null;
  run_ids: string[];
  client_message_ids: string[];
  merged_with: string[];
  turn_id: string | null;
  disposition: string | null;
  completed_by: CompletedBy | null;
  terminal_message: string | null;
  duration_ms: number;
  retries: number;
  detached: boolean;
  delivery: InputDelivery;
}

/** The token counts that the engine's form stands for. */
export function usageOf(native: NativeUsage): Usage {
  return {
    promptTokens: native.prompt_tokens,
    completionTokens: native.completion_tokens,
    totalTokens: native.total_tokens,
    cachedInputTokens: native.cached_input_tokens,
    cacheWriteTokens: native.cache_write_tokens,
    reasoningTokens: native.reasoning_tokens,
    stepCount: native.step_count,
    contextTokens: native.context_tokens,
  };
}

function messagesOf(native: NativeMessage[], calls: ToolCall[]): TurnMessage[] {
  const messages: TurnMessage[] = [];
  for (const message of native) {
    if (message.type !== "tool_call") {
      const { type, text, run_id: runId, message_id: messageId } = message;
      messages.push({ type, text, runId, messageId });
    } else {
      const call = calls[message.index];
      if (call) messages.push({ type: "tool_call", call });
    }
  }
  return messages;
}

/** What the engine delivers of a turn that has ended. */
interface NativeOutcome {
  result: NativeResult;
  /** The places of runs and messages that have all of the result's text, and come without it. */
  runs: number[];
  messages: number[];
}

/**
 * The result that a text of the engine stands for; outputs that are long come apart from it, or came before as `known` ones
 * of its events.
 */
export function readResult(
  json: string,
  outputs: () => LongText[],
  known: readonly string[] = [],
): TurnResult {
  const { result: native, runs, messages } = JSON.parse(json) as NativeOutcome;
  const { text } = native;
  for (const place of runs) {
    const run = native.runs[place];
    if (run) run.text = text;
  }
  for (const place of messages) {
    const message = native.messages[place];
    if (message && message.type !== "tool_call") message.text = text;
  }
  if (native.tool_calls.some(({ output }) => output === null)) {
    for (const { place, text } of outputs()) {
      const call = native.tool_calls[place];
      if (call !== undefined) call.output = typeof text === "number" ? (known[text] ?? null) : text;
    }
  }
  return turnResult(native);
}

/** What the turn of a result adds to a sum, where nobody wants more of it. */
export function readCounted(json: string): Usage {
  const { usage, own_usage = usage } = (JSON.parse(json) as NativeOutcome).result;
  return usageOf(own_usage);
}

/** The result that the engine's form stands for. */
export function turnResult(native: NativeResult): TurnResult {
  const toolCalls = native.tool_calls.map(({ run_id, ...call }) => ({ ...call, runId: run_id }));
  return {
    runtime: native.runtime,
    status: native.status,
    stopReason: native.stop_reason,
    text: native.text,
    runs: native.runs.map(({ run_id, text, withdrawn }) => ({ runId: run_id, text, withdrawn })),
    toolCalls,
    messages: messagesOf(native.messages, toolCalls),
    usage: usageOf(native.usage),
    ownUsage: native.own_usage ? usageOf(native.own_usage) : null,
    error: native.error,
    runIds: native.run_ids,
    clientMessageIds: native.client_message_ids,
    mergedWith: native.merged_with,
    turnId: native.turn_id,
    disposition: native.disposition,
    completedBy: native.completed_by,
    terminalMessage: native.terminal_message === null ? null : parsedFrame(native.terminal_message),
    durationMs: native.duration_ms,
    retries: native.retries,
    detached: native.detached,
    delivery: native.delivery,
  };
}
