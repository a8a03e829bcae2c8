/** What happens to the connection, and who is told. */

import { Kind } from "./deliveries.js";
import { Disconnected, errorFromJson, type LettaAppError, reasonOf } from "./errors.js";
import type { Followers } from "./followers.js";
import { Handlers } from "./handlers.js";
import type { AppServerChannel } from "./messages.js";
import { warnOfRecording } from "./recording.js";
import type { AppServerDisconnectEvent, ClientState } from "./types.js";

/** The loss of a connection, as the engine tells it. */
interface Loss {
  channel: AppServerChannel;
  reason: string;
  will_reconnect: boolean;
}

const neverConnected = () =>
  new Disconnected("the client is not connected: no attempt has succeeded", {
    hint: "`connect` has rejected with the reason; call it again, and read anew",
  });

/** Takes the deliveries that are about the connection. */
export class Standing {
  readonly disconnects: Handlers<[AppServerDisconnectEvent]>;
  readonly states: Handlers<[ClientState, LettaAppError | null]>;
  readonly #followers: Followers;
  /** What whoever reads is told while there is no connection and none is opened by itself. */
  #end: (() => Disconnected) | undefined;
  /** The user has asked for another attempt, whose outcome is not known yet. */
  #attempting = false;

  constructor(followers: Followers, failed: () => void) {
    this.#followers = followers;
    this.disconnects = new Handlers("onDisconnect", failed);
    this.states = new Handlers("onState", failed);
  }

  /** Why nothing comes any more, unless somebody connects again. */
  get gone(): Disconnected | undefined {
    return this.#attempting ? undefined : this.#end?.();
  }

  /** The user connects: whoever reads waits for what comes of it. */
  attempt(): void {
    this.#attempting = true;
  }

  /** A delivery; its value is a close code where there is one. */
  deliver(kind: number, code: number, text: string): void {
    if (kind === Kind.Disconnected) this.#lost(code, JSON.parse(text));
    else if (kind === Kind.State) this.#changed(JSON.parse(text));
    else if (kind === Kind.Unrecorded) warnOfRecording(text);
    else this.#missing(JSON.parse(text));
  }

  #lost(code: number, { channel, reason, will_reconnect: willReconnect }: Loss): void {
    // Reading once more gives nothing: not retryable, whether or not there is another connection.
    const details = { closeCode: code, willReconnect };
    const lost = () => new Disconnected(`the connection was lost: ${reason}`, details);
    if (!willReconnect) this.#end = lost;
    this.#followers.end(lost(), !willReconnect);
    this.disconnects.call({ channel, event: { code, reason }, willReconnect });
  }

  #changed({ state, error: json }: { state: ClientState; error: string | null }): void {
    const error = json === null ? null : errorFromJson(json);
    this.#attempting = state === "connecting";
    if (state === "open") this.#end = undefined;
    if (state === "disconnected") this.#given(error);
    this.states.call(state, error);
  }

  /** There is no connection, and no attempt to open one: the last has failed, or was not made. */
  #given(error: LettaAppError | null): void {
    if (error === null && (!this.#end || this.#end === neverConnected)) {
      // Whoever waits is told; who reads on once an attempt has succeeded has missed nothing.
      this.#end = neverConnected;
      if (this.gone) this.#followers.look();
      return;
    }
    if (error !== null && !this.#end) {
      const why = `the connection was lost and will not be reopened: ${reasonOf(error)}`;
      this.#end = () => new Disconnected(why, { hint: error.hint });
    }
    const gone = this.gone;
    if (gone) this.#followers.end(gone);
  }

  /**
   * The client is closed, and so many commands that nobody waited for have never left, and so many lines of a recording
   * were not written.
   */
  closed({ unsent, unrecorded }: { unsent: number; unrecorded: number }): void {
    this.disconnects.end();
    this.states.end();
    if (unrecorded > 0) {
      warnOfRecording(
        `the client is closed, and lines are missing in its recording: ${unrecorded}`,
      );
    }
    if (unsent === 0) return;
    const text = `the client is closed, and commands that nobody waited for were not sent: ${unsent}`;
    process.emitWarning(text, { type: "AppClientUnsentWarning" });
  }

  #missing(what: { agent_id: string; conversation_id: string; error: string }): void {
    const where = `${what.conversation_id} of ${what.agent_id}`;
    const text = `${where} could not be fully restored: ${errorFromJson(what.error).message}`;
    process.emitWarning(text, { type: "AppClientReconnectWarning" });
  }
}
