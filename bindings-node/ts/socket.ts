/** What `client.socket` is for code written for clients that are built on a socket of JavaScript. */

import { Handlers } from "./handlers.js";
import { rawText } from "./messages.js";
import type {
  AppServerDisconnectHandler,
  AppServerMessageHandler,
  AppServerRawCommand,
  AppServerSocketLike,
  ClientState,
} from "./types.js";

/** The client behind a socket. */
interface Client {
  readonly state: ClientState;
  sendRaw(command: AppServerRawCommand): void;
  close(): Promise<void>;
  onMessage(handler: AppServerMessageHandler): () => void;
  onDisconnect(handler: AppServerDisconnectHandler): () => void;
}

type Listener = (event: unknown) => void;

/** The numbers of the WebSocket API. */
const READY_STATES = {
  new: 0,
  connecting: 0,
  open: 1,
  reconnecting: 3,
  disconnected: 3,
  closed: 3,
} as const;

/** A client in the shape of a socket. Everything goes through the client: handlers see it too. */
export class ClientSocket implements AppServerSocketLike {
  readonly #client: Client;
  readonly #opens: Handlers<[]>;
  readonly #listeners = new Map<string, Map<Listener, () => void>>();

  constructor(client: Client, failed: () => void) {
    this.#client = client;
    this.#opens = new Handlers("socket open", failed);
  }

  get readyState(): number {
    return READY_STATES[this.#client.state];
  }

  /** Sends a command that is JSON text, as `sendRaw` does. */
  send(data: string): void {
    this.#client.sendRaw(JSON.parse(data));
  }

  close(): void {
    void this.#client.close();
  }

  /** Knows `open`, `message` and, for a connection that was lost, `close`; others never come. */
  addEventListener(type: string, listener: Listener): void {
    const listeners = this.#listeners.get(type) ?? new Map<Listener, () => void>();
    this.#listeners.set(type, listeners);
    if (!listeners.has(listener)) listeners.set(listener, this.#listen(type, listener));
  }

  removeEventListener(type: string, listener: Listener): void {
    const listeners = this.#listeners.get(type);
    listeners?.get(listener)?.();
    listeners?.delete(listener);
  }

  /** The client has connected. */
  opened(): void {
    this.#opens.call();
  }

  #listen(type: string, listener: Listener): () => void {
    switch (type) {
      case "open":
        return this.#opens.add(() => listener({ type }));
      case "message":
        return this.#client.onMessage((message) => listener({ type, data: rawText(message) }));
      case "close":
        return this.#client.onDisconnect(({ event }) => listener({ type, ...event }));
      default:
        return () => {};
    }
  }
}
