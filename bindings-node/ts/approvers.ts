/** Who is asked for permissions: handlers of turns and of the client (section 13). */

import { type ApprovalHandler, ApprovalRequest } from "./approvals.js";
import { type NamesOf, show } from "./checks.js";
import { Context } from "./context.js";
import { checkedDecision, decisionText } from "./decisions.js";
import { describe } from "./describe.js";
import { InvalidOption } from "./errors.js";
import { reportHandlerError } from "./handlers.js";
import { approverFailed } from "./native.cjs";
import type { ControlRequestMessage, RuntimeScope } from "./protocol.js";
import { type HandlerOptions, RunningHandlers } from "./running.js";
import type { ApprovalRequestOptions } from "./types.js";

/** The engine's side of permissions. It decides which handler is asked, and when. */
interface Engine {
  token(): number;
  handleApprovals(
    token: number,
    agent: string | null | undefined,
    conversation: string | null | undefined,
    handled: boolean,
  ): void;
  answerApproval(ask: number, decision: string): void;
  failApproval(ask: number, error: string): void;
  returnApproval(ask: number): void;
}

/** A handler, where it runs, what it is called in reports, and the questions it has and has not answered. */
interface Approver {
  handler: ApprovalHandler;
  context: Context;
  event: "onApproval" | "onApprovalRequest";
  open: Set<number>;
}

/** All that `onApprovalRequest` takes besides the handler. */
export const APPROVAL_NAMES: NamesOf<ApprovalRequestOptions> = { runtime: "runtime" };

/** The handlers of permission questions. */
export class Approvers {
  readonly #engine: Engine;
  readonly #failed: () => void;
  readonly #changed: () => void;
  #approvers: Map<number, Approver> | undefined;
  readonly #running: RunningHandlers<number>;
  #registered = 0;

  /** `failed` is called for every handler that fails, `changed` when `active` may have changed. */
  constructor(engine: Engine, failed: () => void, changed: () => void) {
    this.#engine = engine;
    this.#failed = failed;
    this.#changed = changed;
    this.#running = new RunningHandlers(changed);
  }

  /** Whether there are handlers of the client, or questions that are not answered yet. */
  get active(): boolean {
    return this.#registered > 0 || this.#running.size > 0;
  }

  /** Registers a handler of the client; gives the unsubscriber. */
  add(handler: ApprovalHandler, runtime?: RuntimeScope): () => void {
    if (typeof handler !== "function") {
      throw new InvalidOption(`onApprovalRequest: expected a function, got ${show(handler)}`);
    }
    const { agent_id: agent, conversation_id: conversation } = runtime ?? {};
    if (runtime !== undefined && (typeof agent !== "string" || typeof conversation !== "string")) {
      throw new InvalidOption("runtime: expected an agent_id and a conversation_id");
    }
    const token = this.#engine.token();
    this.#register(token, handler, "onApprovalRequest");
    this.#registered += 1;
    this.#engine.handleApprovals(token, agent, conversation, true);
    this.#changed();
    return () => {
      const approver = this.#approvers?.get(token);
      if (!approver) return;
      this.forget(token);
      this.#registered -= 1;
      this.#engine.handleApprovals(token, agent, conversation, false);
      // The engine asks others, and tells that these calls are over.
      for (const ask of approver.open) this.#engine.returnApproval(ask);
      this.#changed();
    };
  }

  /** A turn has a handler of its own. */
  expect(token: number, handler: ApprovalHandler): void {
    this.#register(token, handler, "onApproval");
  }

  /** Whoever registers it is whom it decides for: it runs there. */
  #register(token: number, handler: ApprovalHandler, event: Approver["event"]): void {
    this.#approvers ??= new Map();
    this.#approvers.set(token, { handler, event, context: new Context(), open: new Set() });
  }

  /** That turn is not followed any more. */
  forget(token: number): void {
    this.#approvers?.get(token)?.context.end();
    this.#approvers?.delete(token);
  }

  /** The client is closed. */
  end(): void {
    for (const { context } of this.#approvers?.values() ?? []) context.end();
  }

  /** A handler is asked; `parse` makes the frame. One that is gone was asked too late: others are asked. */
  ask(token: number, text: string, parse: (text: string) => ControlRequestMessage): void {
    const approver = this.#approvers?.get(token);
    const question = JSON.parse(text) as { ask: number; text: string };
    if (!approver) {
      this.#engine.returnApproval(question.ask);
      return;
    }
    const { handler, event, context, open } = approver;
    open.add(question.ask);
    const request = new ApprovalRequest(parse(question.text));
    const decide = (options: HandlerOptions) => context.run(() => handler(request, options));
    const run = this.#running.run(question.ask, decide, {
      returned: (value) => {
        const decision = decisionText(checkedDecision(value));
        this.#engine.answerApproval(question.ask, decision);
      },
      failed: (error) => {
        this.#failed();
        reportHandlerError(event, error);
        this.#engine.failApproval(question.ask, approverFailed(describe(error)));
      },
    });
    void run.then(() => open.delete(question.ask));
  }

  /** An answer is not needed any more, or did not count, as a delivery tells it. */
  over(text: string): void {
    const { ask, refused } = JSON.parse(text) as { ask: number; refused: string | null };
    for (const { open } of this.#approvers?.values() ?? []) open.delete(ask);
    if (refused === null) {
      this.#running.over(ask, "the permission is no longer needed");
    } else {
      const words = `the answer to a permission request had no effect: ${refused}`;
      process.emitWarning(words, { type: "AppClientApprovalWarning" });
    }
  }
}
