/** Whoever reads frames at their own pace, and has to hear of the end of the connection. */

import type { MessageFilter } from "./filters.js";
import type { WsProtocolMessage } from "./protocol.js";
import type { Subscribers } from "./subscribers.js";

/** Reads frames. */
export interface Follower {
  /** Whether it ends with any connection, because what it is for does. */
  ofConnection?: boolean | undefined;
  /** A frame that passes its filter. */
  receive(message: WsProtocolMessage): void;
  /** So many frames, of any type, were lost before they could be looked at. */
  lagged(count: number): void;
  /** There is no connection: whoever waits looks whether to go on. */
  look(): void;
  /** Nothing comes any more: the connection was lost, or, without an error, the client was closed. */
  end(error?: Error): void;
}

/** The followers of one client. */
export class Followers {
  readonly #subscribers: Subscribers;
  #followers: Map<Follower, () => void> | undefined;

  constructor(subscribers: Subscribers) {
    this.#subscribers = subscribers;
  }

  /** Gives the unsubscriber. */
  add(filter: MessageFilter, follower: Follower): () => void {
    const off = this.#subscribers.add((message) => follower.receive(message), filter);
    this.#followers ??= new Map();
    const followers = this.#followers.set(follower, off);
    return () => {
      off();
      followers.delete(follower);
    };
  }

  lagged(count: number): void {
    for (const follower of [...(this.#followers?.keys() ?? [])]) follower.lagged(count);
  }

  /** Lets whoever waits look whether to go on. */
  look(): void {
    for (const follower of [...(this.#followers?.keys() ?? [])]) follower.look();
  }

  /** Lets all go, or only those of the connection that has ended. */
  end(error?: Error, all = true): void {
    for (const [follower, off] of [...(this.#followers ?? [])]) {
      if (!all && !follower.ofConnection) continue;
      this.#followers?.delete(follower);
      off();
      follower.end(error);
    }
  }
}
