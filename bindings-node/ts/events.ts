/** What happens in a turn, as its follower sees it (sections 9 to 13). */

import { ApprovalRequest } from "./approvals.js";
import { parsedFrame } from "./messages.js";
import { type NativeUsage, type TurnResult, type Usage, usageOf } from "./results.js";

/** The input waits in the server's queue. */
export interface QueuedEvent {
  type: "queued";
  /** Its place, counted from 1. */
  position: number;
}

/** A model call of the turn began. */
export interface RunStartedEvent {
  type: "run_started";
  runId: string;
}

/** The run failed and was tried again: what it said is withdrawn, and is not in the result. */
export interface RunWithdrawnEvent {
  type: "run_withdrawn";
  runId: string;
}

/** The agent said something. */
export interface AssistantDeltaEvent {
  type: "assistant_delta";
  /** The piece. */
  text: string;
  runId: string;
  /** The same for all pieces of one message within a run. */
  messageId: string;
}

/** The agent thought something. */
export interface ReasoningDeltaEvent {
  type: "reasoning_delta";
  /** The piece. */
  text: string;
  runId: string;
  /** The same for all pieces of one message within a run. */
  messageId: string;
}

/** The agent calls a tool. */
export interface ToolCallStartEvent {
  type: "tool_call_start";
  /** The tool. */
  name: string;
  callId: string;
  runId: string;
}

/** A piece of a tool call's arguments, or all of them, as JSON text. */
export interface ToolCallArgumentsEvent {
  type: "tool_call_arguments";
  arguments: string;
  callId: string;
}

/** What a tool has printed so far; each such event replaces the one before. */
export interface ToolOutputEvent {
  type: "tool_output";
  /** The whole output so far. */
  output: string;
  callId: string;
}

/** A tool has returned. */
export interface ToolCallEndEvent {
  type: "tool_call_end";
  /** What it returned. */
  output: string;
  /** `success` or `error`. */
  status: string;
  callId: string;
}

/** A permission is requested. The event comes no matter who decides; to decide, give the turn an `onApproval`. */
export interface ApprovalRequestedEvent {
  type: "approval_requested";
  request: ApprovalRequest;
}

/** A permission was given or refused, or is no longer needed. */
export interface ApprovalDecidedEvent {
  type: "approval_decided";
  requestId: string;
  /** What this client answered; `null` when somebody else decided, or nobody had to. */
  decision: "allow" | "deny" | null;
}

/** The server did not take this client's answer: somebody else was first, or the question is gone. */
export interface ApprovalRefusedEvent {
  type: "approval_refused";
  requestId: string;
  /** The server's reason. */
  reason: string;
}

/** A run's token counts. */
export interface UsageEvent {
  type: "usage";
  usage: Usage;
  runId: string;
}

/** The server will try again. */
export interface RetryEvent {
  type: "retry";
  /** A text for humans to read. */
  message: string;
  /** Which attempt comes next, counted from 1, if the server said so. */
  attempt: number | null;
  /** How many there will be at most. */
  maxAttempts: number | null;
  /** How long the server waits before it, in milliseconds. */
  delayMs: number | null;
}

/** The runtime's loop status changed (section 12). */
export interface StatusEvent {
  type: "status";
  /** `SENDING_API_REQUEST`, … */
  status: string;
}

/**
 * The connection was lost, or the stream socket of a server with two (section 2.1) and events with it, and the turn
 * goes on with a new one, or has ended meanwhile (section 16). No event reports what was said in between, but the result
 * contains it.
 */
export interface ResumedEvent {
  type: "resumed";
}

/**
 * The reader was too slow: neighbouring pieces of one text, or of one call's arguments or output, became
 * one event, and if that was not enough, the oldest events were dropped. The result is complete.
 */
export interface LaggedEvent {
  type: "lagged";
  /** How many events before here were dropped; 0 where nothing is missing. */
  dropped: number;
  /** How many events went into their neighbours, among those around here. */
  merged: number;
}

/** The turn is over; the last event. It does not come if the turn fails with an error. */
export interface FinishedEvent {
  type: "finished";
  result: TurnResult;
}

/**
 * A delta without a type of its own: `error_message`, `loop_error`, `status` or another of section 11 of the protocol, or
 * one that only a newer server sends.
 */
export interface UnknownEvent {
  type: "unknown";
  /** The `stream_delta`, or an event of a newer engine. */
  raw: Record<string, unknown>;
}

/** One thing that happened in a turn, by its `type`. */
export type TurnEvent =
  | QueuedEvent
  | RunStartedEvent
  | RunWithdrawnEvent
  | AssistantDeltaEvent
  | ReasoningDeltaEvent
  | ToolCallStartEvent
  | ToolCallArgumentsEvent
  | ToolOutputEvent
  | ToolCallEndEvent
  | ApprovalRequestedEvent
  | ApprovalDecidedEvent
  | ApprovalRefusedEvent
  | UsageEvent
  | RetryEvent
  | StatusEvent
  | ResumedEvent
  | LaggedEvent
  | FinishedEvent
  | UnknownEvent;

/** The engine's form of an event. */
export type NativeEvent = Record<string, unknown> & { type: string };

/** The engine's form of pieces of one message that follow each other: type, run, message and the texts. */
export type Pieces = [
  type: (AssistantDeltaEvent | ReasoningDeltaEvent)["type"],
  runId: string,
  messageId: string,
  ...texts: string[],
];

/** The types whose fields differ from the engine's in spelling only. */
const RESPELLED = new Set<string>([
  "queued",
  "run_started",
  "run_withdrawn",
  "assistant_delta",
  "reasoning_delta",
  "tool_call_start",
  "tool_call_arguments",
  "tool_output",
  "tool_call_end",
  "approval_decided",
  "approval_refused",
  "retry",
  "status",
  "resumed",
  "lagged",
] satisfies TurnEvent["type"][]);

const camelCase = (name: string) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

/** A piece of text, as the engine gives it. */
interface NativeText {
  text: string;
  run_id: string;
  message_id: string;
}

/** The event that the engine's form stands for. */
export function turnEvent(native: NativeEvent): TurnEvent {
  const { type } = native;
  if (type === "assistant_delta" || type === "reasoning_delta") {
    // Nearly all events are these.
    const { text, run_id, message_id } = native as unknown as NativeText;
    return { type, text, runId: run_id, messageId: message_id };
  }
  if (RESPELLED.has(type)) {
    const fields = Object.entries(native).map(([name, value]) => [camelCase(name), value]);
    return Object.fromEntries(fields) as TurnEvent;
  }
  switch (type) {
    case "usage":
      return { type, usage: usageOf(native.usage as NativeUsage), runId: String(native.run_id) };
    case "approval_requested":
      return { type, request: ApprovalRequest.parse(String(native.frame)) };
    case "unknown":
      return { type, raw: parsedFrame(String(native.frame)) };
    default:
      return { type: "unknown", raw: native };
  }
}
