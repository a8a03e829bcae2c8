/** Sends inputs whose turns are followed to their end. */

import type { Approvers } from "./approvers.js";
import type { Connection } from "./native.cjs";
import { nativeTurnOptions, type RunTurnOptions } from "./options.js";
import type { PendingCalls } from "./pending.js";
import { readResult, type TurnResult } from "./results.js";
import { Turn, type TurnCall, type TurnEngine, type TurnInput } from "./turn.js";

/** Hands a command to the engine, with all that comes before. */
type Hand = (command: object, send: (text: string) => void) => void;

/** The turns of one client. */
export class Turns {
  readonly #native: Connection;
  readonly #calls: PendingCalls;
  readonly #approvers: Approvers;
  readonly #hand: Hand;
  readonly #engine: TurnEngine;

  constructor(native: Connection, calls: PendingCalls, approvers: Approvers, hand: Hand) {
    this.#native = native;
    this.#calls = calls;
    this.#approvers = approvers;
    this.#hand = hand;
    this.#engine = {
      takeTurn: (token) => native.takeTurn(token),
      takeOutputs: (token) => native.takeOutputs(token),
      leaveTurn: (token) => native.leaveTurn(token),
      abortTurn: (token) => native.abortTurn(token),
      turnReport: (token) => native.turnReport(token),
      detachTurn: (token) => {
        calls.forget(token);
        native.detachTurn(token);
      },
    };
  }

  run(input: object, options: RunTurnOptions): Promise<TurnResult> {
    const token = this.#native.token();
    const read = (text: string) => readResult(text, () => this.#native.takeOutputs(token));
    const held = () => this.#calls.hold();
    return this.#calls.make({ ...this.#plan(input, options, false, held), read }, token);
  }

  send(input: object, options: RunTurnOptions): Turn {
    // Whoever has a handle may be busy for long before the loop goes on.
    const plan = this.#plan(input, options, true, () => false);
    const token = this.#native.token();
    const begin = (call: TurnCall) => this.#calls.begin({ ...plan, ...call }, token);
    return new Turn(this.#engine, token, begin, input as TurnInput);
  }

  #plan(input: object, options: RunTurnOptions, followed: boolean, held: () => boolean) {
    const limits = { ...nativeTurnOptions(options), followed };
    const { signal, onApproval } = options;
    return {
      signal,
      start: (token: number) => {
        this.#hand(input, (text) => this.#native.runTurn(token, text, limits, held()));
        if (onApproval) this.#approvers.expect(token, onApproval);
      },
      ended: (token: number) => this.#approvers.forget(token),
    };
  }
}
