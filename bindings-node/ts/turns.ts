/** Sends inputs whose turns are followed to their end. */

import type { Approvers } from "./approvers.js";
import type { LettaAppError } from "./errors.js";
import { type Connection, type LongText, outcomeError, type TakenEvents } from "./native.cjs";
import { nativeTurnOptions, type RunTurnOptions } from "./options.js";
import type { Outcome, PendingCalls } from "./pending.js";
import { readResult, type TurnResult } from "./results.js";
import { traced } from "./stacks.js";
import { Turn, type TurnCall, type TurnEngine, type TurnInput } from "./turn.js";

/** Hands a command to the engine, with all that comes before. */
type Hand = (command: object, send: (text: string) => void) => void;

/** Makes an error of the engine's JSON, with what its user may do about it: a permission can be answered. */
type Failure = (json: string, result: TurnResult) => LettaAppError;

/** The turns of one client. */
export class Turns implements TurnEngine {
  readonly #native: Connection;
  readonly #calls: PendingCalls;
  readonly #approvers: Approvers;
  readonly #hand: Hand;
  readonly #failure: Failure;

  constructor(
    native: Connection,
    calls: PendingCalls,
    approvers: Approvers,
    hand: Hand,
    failure: Failure,
  ) {
    this.#native = native;
    this.#calls = calls;
    this.#approvers = approvers;
    this.#hand = hand;
    this.#failure = failure;
  }

  takeTurn(token: number): TakenEvents {
    return this.#native.takeTurn(token);
  }

  takeOutputs(token: number): LongText[] {
    return this.#native.takeOutputs(token);
  }

  leaveTurn(token: number): void {
    this.#native.leaveTurn(token);
  }

  leaving(token: number): () => void {
    const native = this.#native;
    return () => native.leaveTurn(token);
  }

  abortTurn(token: number): void {
    this.#native.abortTurn(token);
  }

  turnReport(token: number): string[] | null {
    return this.#native.turnReport(token);
  }

  unended(result: TurnResult): LettaAppError | undefined {
    const json = outcomeError(result.status ?? "", result.error ?? result.stopReason);
    return json === null ? undefined : this.#failure(json, result);
  }

  detachTurn(token: number): void {
    this.#calls.detach(token);
    this.#native.detachTurn(token);
  }

  /** Sends what `complete` gives; rejects with what it throws. */
  async run(complete: () => object, options: RunTurnOptions): Promise<TurnResult> {
    try {
      return await new Promise<TurnResult>((resolve, reject) => {
        const token = this.#native.token();
        const outputs = () => this.takeOutputs(token);
        const call = { resolve: (text: string) => resolve(readResult(text, outputs)), reject };
        this.#begin(token, complete(), options, call);
      });
    } catch (error) {
      throw traced(error);
    }
  }

  send(input: object, options: RunTurnOptions): Turn {
    const token = this.#native.token();
    const begin = (call: TurnCall) => this.#begin(token, input, options, call);
    return new Turn(this, token, begin, input as TurnInput);
  }

  /** Whoever is told of events follows the turn. */
  #begin(
    token: number,
    input: object,
    options: RunTurnOptions,
    { resolve, reject, ready, left }: Outcome & Partial<TurnCall>,
  ): void {
    const limits = nativeTurnOptions(options);
    const { signal, onApproval } = options;
    const followed = ready !== undefined;
    this.#calls.begin(
      {
        signal,
        start: () => {
          this.#hand(input, (text) => {
            // Whoever has a handle may be busy for long before the loop goes on.
            const held = !followed && this.#calls.hold();
            this.#native.runTurn(token, text, followed, held, limits);
          });
          if (onApproval) this.#approvers.expect(token, onApproval);
        },
        ended: onApproval && (() => this.#approvers.forget(token)),
        resolve,
        reject,
        ready,
        left,
      },
      token,
    );
  }
}
