/** What happens to the connection, and who is told. */

import { Kind } from "./deliveries.js";
import { Disconnected, errorFromJson, type LettaAppError } from "./errors.js";
import type { Followers } from "./followers.js";
import { Handlers } from "./handlers.js";
import type { AppServerChannel } from "./messages.js";
import type { AppServerDisconnectEvent, ClientState } from "./types.js";

/** The loss of a connection, as the engine tells it. */
interface Loss {
  channel: AppServerChannel;
  reason: string;
  will_reconnect: boolean;
}

/** Takes the deliveries that are about the connection. */
export class Standing {
  readonly disconnects: Handlers<[AppServerDisconnectEvent]>;
  readonly states: Handlers<[ClientState, LettaAppError | null]>;
  readonly #followers: Followers;

  constructor(followers: Followers, failed: () => void) {
    this.#followers = followers;
    this.disconnects = new Handlers("onDisconnect", failed);
    this.states = new Handlers("onState", failed);
  }

  /** A delivery; its value is a close code where there is one. */
  deliver(kind: number, code: number, text: string): void {
    if (kind === Kind.Disconnected) this.#lost(code, JSON.parse(text));
    else if (kind === Kind.State) this.#changed(JSON.parse(text));
    else this.#missing(JSON.parse(text));
  }

  #lost(code: number, { channel, reason, will_reconnect: willReconnect }: Loss): void {
    const details = { closeCode: code, retryable: true, willReconnect };
    const error = new Disconnected(`the connection was lost: ${reason}`, details);
    this.#followers.end(error, !willReconnect);
    this.disconnects.call({ channel, event: { code, reason }, willReconnect });
  }

  #changed({ state, error: json }: { state: ClientState; error: string | null }): void {
    const error = json === null ? null : errorFromJson(json);
    if (state === "disconnected" && error !== null) {
      const why = `the connection was lost and will not be reopened: ${error.message}`;
      this.#followers.end(new Disconnected(why));
    }
    this.states.call(state, error);
  }

  #missing(what: { agent_id: string; conversation_id: string; error: string }): void {
    const where = `${what.conversation_id} of ${what.agent_id}`;
    const text = `${where} could not be fully restored: ${errorFromJson(what.error).message}`;
    process.emitWarning(text, { type: "AppClientReconnectWarning" });
  }
}
