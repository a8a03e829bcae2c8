/** A turn as chunks of which the AI SDK makes messages. */

import { describe } from "./describe.js";
import { AbortError, TurnAborted } from "./errors.js";
import type { TurnEvent } from "./events.js";
import type { TurnResult } from "./results.js";

/** What the chunks of a tool call have in common. */
interface ToolChunk {
  toolCallId: string;
  /** The program that shows the message has no types of the agent's tools. */
  dynamic: true;
  /** The agent has its tools called itself: whoever shows the message is not to call them. */
  providerExecuted: true;
}

/** A chunk of the AI SDK's UI message stream; assignable to its type of the same name. */
export type UIMessageChunk =
  | { type: "start" | "start-step" | "finish-step" | "finish" | "abort" }
  | { type: "error"; errorText: string }
  | { type: "text-start" | "text-end" | "reasoning-start" | "reasoning-end"; id: string }
  | { type: "text-delta" | "reasoning-delta"; id: string; delta: string }
  | (ToolChunk & { type: "tool-input-start"; toolName: string })
  | { type: "tool-input-delta"; toolCallId: string; inputTextDelta: string }
  | (ToolChunk & { type: "tool-input-available"; toolName: string; input: unknown })
  /** `preliminary` is what a tool has printed so far; the next one replaces it. */
  | (ToolChunk & { type: "tool-output-available"; output: unknown; preliminary?: boolean })
  | (ToolChunk & { type: "tool-output-error"; errorText: string });

interface Call {
  name: string;
  runId: string;
  /** The arguments so far. */
  text: string;
  /** The arguments were given as a whole, or are not any more. */
  complete: boolean;
  ended: boolean;
}

/** Makes chunks of events. A step of the message is a run, with what its tools returned. */
export class Chunks {
  /** Not given yet: between two events nothing but the first chunk. */
  readonly #out: UIMessageChunk[] = [{ type: "start" }];
  #over = false;
  #inStep = false;
  /** The part that is being written: tools apart, there is one at a time. */
  #part: { kind: "text" | "reasoning"; id: string } | undefined;
  readonly #calls = new Map<string, Call>();

  /** What the next event comes to, which may be nothing; `undefined` after the end. Never rejects. */
  async next(events: AsyncIterator<TurnEvent, undefined>): Promise<UIMessageChunk[] | undefined> {
    if (this.#over) return undefined;
    if (this.#out.length > 0) return this.#out.splice(0);
    try {
      const { done, value } = await events.next();
      // A turn that was detached has no last event.
      return done ? this.#finish({ type: "finish" }) : this.#of(value);
    } catch (error) {
      const aborted = error instanceof AbortError || error instanceof TurnAborted;
      if (aborted) return this.#finish({ type: "abort" });
      return this.#finish({ type: "error", errorText: describe(error) });
    }
  }

  #of(event: TurnEvent): UIMessageChunk[] {
    switch (event.type) {
      case "run_started":
        this.#completeCalls();
        this.#closeStep();
        this.#openStep();
        break;
      case "run_withdrawn":
        // Nobody will say any more what they returned, and they would be shown as running for ever.
        for (const [id, call] of this.#calls) {
          if (call.ended || call.runId !== event.runId) continue;
          this.#endCall(id, call, "error", "the run failed and was tried again");
        }
        break;
      case "assistant_delta":
        this.#write("text", event.messageId, event.text);
        break;
      case "reasoning_delta":
        this.#write("reasoning", event.messageId, event.text);
        break;
      case "tool_call_start":
        this.#startCall(event.callId, event.name, event.runId);
        break;
      case "usage":
      case "approval_requested":
        // Both come after the model's call, so that no more arguments come.
        this.#completeCalls();
        break;
      case "finished":
        return this.#finish(lastChunk(event.result));
      default:
        if ("callId" in event) this.#followCall(event, this.#calls.get(event.callId));
    }
    return this.#out.splice(0);
  }

  #finish(last: UIMessageChunk): UIMessageChunk[] {
    this.#over = true;
    // Arguments that were cut short are not made to look whole.
    if (last.type === "finish") this.#completeCalls();
    this.#closeStep();
    return [...this.#out.splice(0), last];
  }

  #openStep(): void {
    if (!this.#inStep) this.#out.push({ type: "start-step" });
    this.#inStep = true;
  }

  #closeStep(): void {
    this.#closePart();
    if (this.#inStep) this.#out.push({ type: "finish-step" });
    this.#inStep = false;
  }

  #closePart(): void {
    if (this.#part) this.#out.push({ type: `${this.#part.kind}-end`, id: this.#part.id });
    this.#part = undefined;
  }

  #write(kind: "text" | "reasoning", id: string, delta: string): void {
    if (delta === "") return;
    if (this.#part?.kind !== kind || this.#part.id !== id) {
      this.#closePart();
      this.#openStep();
      this.#part = { kind, id };
      this.#out.push({ type: `${kind}-start`, id });
    }
    this.#out.push({ type: `${kind}-delta`, id, delta });
  }

  #startCall(id: string, name: string, runId: string): void {
    if (this.#calls.has(id)) return;
    this.#closePart();
    this.#openStep();
    this.#calls.set(id, { name, runId, text: "", complete: false, ended: false });
    this.#out.push({ type: "tool-input-start", toolName: name, ...toolChunk(id) });
  }

  /** What belongs to no known call is passed over: a reader of chunks breaks on it. */
  #followCall(event: TurnEvent & { callId: string }, call: Call | undefined): void {
    const id = event.callId;
    if (!call || call.ended) return;
    if (event.type === "tool_call_arguments") {
      call.text += event.arguments;
      call.complete = false;
      this.#out.push({ type: "tool-input-delta", toolCallId: id, inputTextDelta: event.arguments });
      return;
    }
    this.#completeCall(id, call);
    if (event.type === "tool_call_end") this.#endCall(id, call, event.status, event.output);
    if (event.type === "tool_output") {
      const fields = { output: event.output, preliminary: true, ...toolChunk(id) };
      this.#out.push({ type: "tool-output-available", ...fields });
    }
  }

  #completeCalls(): void {
    for (const [id, call] of this.#calls) this.#completeCall(id, call);
  }

  /** No event says that the arguments are whole; what comes after them does. */
  #completeCall(id: string, call: Call): void {
    if (call.complete) return;
    call.complete = true;
    const fields = { toolName: call.name, input: inputOf(call.text), ...toolChunk(id) };
    this.#out.push({ type: "tool-input-available", ...fields });
  }

  #endCall(id: string, call: Call, status: string, output: string): void {
    Object.assign(call, { complete: true, ended: true });
    const chunk = toolChunk(id);
    if (status !== "error") this.#out.push({ type: "tool-output-available", output, ...chunk });
    else this.#out.push({ type: "tool-output-error", errorText: output, ...chunk });
  }
}

function toolChunk(toolCallId: string): ToolChunk {
  return { toolCallId, dynamic: true, providerExecuted: true };
}

function lastChunk({ status, error, stopReason }: TurnResult): UIMessageChunk {
  if (status === "aborted") return { type: "abort" };
  if (status !== "failed") return { type: "finish" };
  return { type: "error", errorText: error ?? `the turn failed: ${stopReason ?? "unknown"}` };
}

/** Arguments as the model wrote them are not always JSON. */
function inputOf(text: string): unknown {
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch {
    return text;
  }
}
