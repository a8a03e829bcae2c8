/** The user's handlers of messages. */

import { Filter, type MessageFilter } from "./filters.js";
import { Handlers } from "./handlers.js";
import type { AppServerChannel } from "./messages.js";
import type { WsProtocolMessage } from "./protocol.js";

type Handler = (message: WsProtocolMessage, channel: AppServerChannel) => unknown;

/** A frame that is parsed when the first handler wants it. */
class Frame {
  readonly #parse: () => WsProtocolMessage;
  #parsed: WsProtocolMessage | undefined;

  constructor(
    readonly place: number,
    readonly channel: AppServerChannel,
    parse: () => WsProtocolMessage,
  ) {
    this.#parse = parse;
  }

  get message(): WsProtocolMessage {
    this.#parsed ??= this.#parse();
    return this.#parsed;
  }
}

/** Called with the frames that they want, in the order of registration. */
export class Subscribers {
  readonly #handlers: Handlers<[Frame]>;
  /** One entry for each function that was added without a filter: adding it twice changes nothing. */
  #plain: Map<Handler, (frame: Frame) => unknown> | undefined;

  /** As for {@link Handlers}. */
  constructor(failed: () => void, changed: () => void) {
    this.#handlers = new Handlers("onMessage", failed, changed);
  }

  get size(): number {
    return this.#handlers.size;
  }

  /** Gives the unsubscriber. */
  add(handler: Handler, wanted?: MessageFilter): () => void {
    // What is no function is refused where all handlers are.
    if (typeof handler !== "function") return this.#handlers.add(handler);
    if (wanted !== undefined) {
      const filter = new Filter(wanted);
      return this.#handlers.add((frame) => {
        if (!filter.mayPass(frame.place) || !filter.passes(frame.message)) return undefined;
        return handler(frame.message, frame.channel);
      });
    }
    this.#plain ??= new Map();
    const plain = this.#plain;
    const call = plain.get(handler) ?? ((frame) => handler(frame.message, frame.channel));
    plain.set(handler, call);
    const off = this.#handlers.add(call);
    return () => {
      off();
      if (plain.get(handler) === call) plain.delete(handler);
    };
  }

  /** The client is closed. */
  end(): void {
    this.#handlers.end();
  }

  /** A frame came, whose type has this place in `messageTypes()`. */
  call(place: number, channel: AppServerChannel, parse: () => WsProtocolMessage): void {
    this.#handlers.call(new Frame(place, channel, parse));
  }
}
