/** Permissions: what the server asks, and what is answered (section 13). */

import { check, checkedOptions, type NamesOf, show } from "./checks.js";
import { isError } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { jsonText, kindOf } from "./json.js";
import { parsedFrame } from "./messages.js";
import type {
  ApprovalResponseAllowDecision,
  ApprovalResponseDenyDecision,
  CanUseToolControlRequestBody,
  ControlRequestMessage,
  DiffPreview,
  PermissionSuggestion,
  RuntimeScope,
} from "./protocol.js";
import type { HandlerOptions } from "./running.js";

/** The answer to a permission question; made by {@link allow} and {@link deny}. */
export type Decision = ApprovalResponseAllowDecision | ApprovalResponseDenyDecision;

/** What can go along with a yes. */
export interface AllowOptions {
  /** Arguments that replace those of the model. */
  updatedInput?: Record<string, unknown> | undefined;
  /** Suggestions of the request, or their ids, for the server to store as rules. */
  suggestions?: readonly (string | PermissionSuggestion)[] | undefined;
  /** What the agent is told. */
  message?: string | undefined;
}

const ALLOW_NAMES: NamesOf<AllowOptions> = {
  updatedInput: "object",
  suggestions: "list",
  message: "string",
};

/**
 * Makes the decision that the tool may run: `decision.behavior: "allow"` (section 13). It sends nothing by
 * itself: return it from an approval handler, or pass it as the `decision` of an `input`.
 *
 * @throws {@link InvalidOption} for an unknown option or one of the wrong type, and for arguments that JSON cannot
 * express, because otherwise the tool would run with other arguments than you meant.
 */
export function allow(options: AllowOptions = {}): ApprovalResponseAllowDecision {
  const { updatedInput, suggestions, message } = checkedOptions(options, ALLOW_NAMES);
  const ids = suggestions === undefined ? undefined : idsOf(suggestions);
  check("message", message, "string");
  if (updatedInput !== undefined) checkInput(updatedInput);
  return {
    behavior: "allow",
    ...(message !== undefined && { message }),
    ...(updatedInput !== undefined && { updated_input: updatedInput }),
    ...(ids !== undefined && { selected_permission_suggestion_ids: ids }),
  };
}

/** Arguments are a JSON object: of a map, or of what is no number, the server would get nothing. */
function checkInput(input: unknown): void {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    const got = Array.isArray(input) ? "an array" : show(input);
    throw new InvalidOption(`updatedInput: expected an object, got ${got}`);
  }
  jsonText(input, (path, words) => {
    return new InvalidOption(`updatedInput${path && `.${path}`}: ${words}`);
  });
}

function idsOf(suggestions: readonly (string | PermissionSuggestion)[]): string[] {
  if (!Array.isArray(suggestions)) {
    const got = show(suggestions);
    throw new InvalidOption(`suggestions: expected a list of suggestions or ids, got ${got}`);
  }
  return suggestions.map((each: string | Partial<PermissionSuggestion> | null, index) => {
    const id = typeof each === "string" ? each : each?.id;
    if (typeof id === "string") return id;
    const got = show(each);
    throw new InvalidOption(`suggestions[${index}]: expected a suggestion or its id, got ${got}`);
  });
}

/**
 * Makes the decision that the tool must not run; the model gets the message as the tool's result (section 13).
 *
 * @throws {@link InvalidOption} for a message that is not a string.
 */
export function deny(message: string): ApprovalResponseDenyDecision {
  if (typeof message !== "string") {
    const hint = isError(message) ? "give its message" : undefined;
    const got = message === undefined ? "nothing" : kindOf(message);
    throw new InvalidOption(`message: expected a string, got ${got}`, { hint });
  }
  return { behavior: "deny", message };
}

/**
 * Decides on a permission, now or when its promise resolves. There is no time limit except the turn's
 * `approvalTimeoutMs`. A handler that fails, or returns no decision, denies.
 */
export type ApprovalHandler = (
  request: ApprovalRequest,
  options: HandlerOptions,
) => Decision | Promise<Decision>;

/** A question that the agent asks with its tool `AskUserQuestion`. */
export interface Question {
  question: string;
  /** A short title. */
  header: string;
  options: { label: string; description: string }[];
  /** Whether several options may be chosen. */
  multiSelect: boolean;
}

/** A permission question of the server (section 13). */
export class ApprovalRequest {
  /** The server's id of the question. */
  readonly requestId: string;
  /** The tool that wants to run. */
  readonly toolName: string;
  /** Its arguments. */
  readonly input: Record<string, unknown>;
  /** The model's id of the call; the same as in the turn's events and result. */
  readonly toolCallId: string;
  /** Rules that the server offers to store, to be chosen with `allow({ suggestions })`. */
  readonly suggestions: PermissionSuggestion[];
  /** The path that made the server ask, if there is one. */
  readonly blockedPath: string | null;
  /** What the tool would change in files. */
  readonly diffs: DiffPreview[];
  /** The conversation that asks. */
  readonly runtime: RuntimeScope;
  /** The `control_request`; `rawText(raw)` is its wire text. */
  readonly raw: ControlRequestMessage;

  /** A request from its frame; what the frame lacks is empty. */
  constructor(raw: ControlRequestMessage) {
    const request: Partial<CanUseToolControlRequestBody> = raw.request ?? {};
    const { runtime } = raw as { runtime?: RuntimeScope };
    const { agent_id = "", conversation_id = "" } = raw;
    this.raw = raw;
    this.requestId = raw.request_id;
    this.toolName = request.tool_name ?? "";
    this.input = request.input ?? {};
    this.toolCallId = request.tool_call_id ?? "";
    this.suggestions = request.permission_suggestions ?? [];
    this.blockedPath = request.blocked_path ?? null;
    this.diffs = request.diffs ?? [];
    this.runtime = runtime ?? { agent_id, conversation_id };
  }

  /** A request from the text of its frame. */
  static parse(text: string): ApprovalRequest {
    return new ApprovalRequest(parsedFrame(text));
  }

  /** The questions of `AskUserQuestion`; none for other tools. */
  get questions(): Question[] {
    const { questions } = this.input;
    if (this.toolName !== "AskUserQuestion" || !Array.isArray(questions)) return [];
    return questions.map((each: Partial<Question> | null) => ({
      question: each?.question ?? "",
      header: each?.header ?? "",
      options: each?.options ?? [],
      multiSelect: each?.multiSelect ?? false,
    }));
  }

  /**
   * Makes the decision that answers the questions. `answers` maps the text of each question to the label of the
   * chosen option, or to any other text. The decision allows the tool with its input and these `answers`. Sends
   * nothing by itself.
   */
  answer(answers: Record<string, string>): ApprovalResponseAllowDecision {
    return allow({ updatedInput: { ...this.input, answers } });
  }
}
