/** The way of commands from the user to the engine. */

import type { RunningInputs } from "./alive.js";
import {
  type Command,
  checkedCommand,
  commandText,
  prefixOf,
  prefixOfId,
  typed,
  withClientMessageIds,
} from "./commands.js";
import { Context } from "./context.js";
import { ClientClosed, translated } from "./errors.js";
import { type Handlers, NearHandlers } from "./handlers.js";
import type { FrameParser } from "./messages.js";
import type { Connection } from "./native.cjs";
import { nativeTimeout, type RequestOptions } from "./options.js";
import type { Check, Completed, Expected, PendingCalls } from "./pending.js";
import { fromOutside, traced } from "./stacks.js";
import type { AppServerSendCommand } from "./types.js";

/** What one client sends. */
export class Sending {
  /** Shown every command, with the ids it goes out with. */
  readonly handlers: Handlers<[AppServerSendCommand]>;
  readonly #native: Connection;
  readonly #calls: PendingCalls;
  readonly #frames: FrameParser;
  readonly #running: RunningInputs;
  #closed = false;

  constructor(
    native: Connection,
    calls: PendingCalls,
    frames: FrameParser,
    running: RunningInputs,
    failed: () => void,
  ) {
    this.#native = native;
    this.#calls = calls;
    this.#frames = frames;
    this.#running = running;
    this.handlers = new NearHandlers("onSend", failed);
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#closed = true;
    this.handlers.end();
  }

  checkOpen(): void {
    if (!this.#closed) return;
    throw fromOutside(new ClientClosed("the client is closed", { hint: "make a new one" }));
  }

  /** The input of a turn; what it lacks is added by the engine, and here for those who see it before. */
  turnInput(command: object): object {
    const { request_id: id } = checkedCommand(command) as Partial<Command>;
    if (this.handlers.size === 0 && id !== null) return command;
    return withClientMessageIds(this.command("input", command));
  }

  /** A command from its type and the other fields, with an id. */
  command(type: string, body: object): Command {
    const { request_id: id } = checkedCommand(body) as Partial<Command>;
    const command = typed(type, body);
    command.request_id = id ?? this.#native.nextRequestId(prefixOf(type));
    return command;
  }

  /** A command with the id that the engine would add, where somebody sees it before. */
  withId(command: object, asks: boolean): object {
    this.checkOpen();
    const prefix = this.handlers.size > 0 ? prefixOfId(command, asks) : undefined;
    return prefix ? { ...command, request_id: this.#native.nextRequestId(prefix) } : command;
  }

  /** Sends what `complete` gives, and resolves with its answer; rejects with what `complete` throws. */
  async request<T extends object>(
    complete: () => object,
    options: RequestOptions,
    expected: Expected,
  ): Promise<T> {
    try {
      return await this.#request<T>(complete, options, expected);
    } catch (error) {
      throw traced(error);
    }
  }

  #request<T extends object>(
    complete: () => object,
    options: RequestOptions,
    { predicate, check }: Expected,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const command = complete();
      const timeout = nativeTimeout(options, predicate !== undefined);
      const read = (text: string) => this.#frames.again<T>(text);
      const manual = predicate !== undefined;
      const context = predicate && new Context();
      this.#calls.begin({
        signal: options.signal,
        start: (token) =>
          this.hand(
            command,
            (text) => {
              this.#native.request(token, text, timeout, manual, check, this.#calls.hold());
              this.#running.sent(command);
            },
            check !== "opening" && check !== "offer",
          ),
        resolve: (text) => {
          context?.end();
          this.#running.answered(command);
          resolve(read(text));
        },
        reject: (error) => {
          context?.end();
          reject(error);
        },
        judge:
          predicate && context && ((text) => context.run(() => predicate(read(text) as never))),
      });
    });
  }

  /** Sends a command, and waits for nothing. */
  send(command: object, check: Exclude<Check, Completed>): void {
    this.hand(command, (text) => this.#native.send(text, check));
    this.#running.sent(command);
  }

  /** Somebody watches a file: the engine tells the server, unless it has done so a moment ago. */
  watch(command: object): void {
    this.hand(command, (text) => this.#native.watchFile(text));
  }

  /** They watch it no more: the engine tells the server, once nobody does. */
  unwatch(path: string): void {
    this.#native.unwatchFile(path);
  }

  /** Shows a command to the handlers, unless the engine does, and hands it to the engine. */
  hand(command: object, send: (text: string) => void, told = true): void {
    this.checkOpen();
    checkedCommand(command);
    if (told && this.handlers.size > 0) this.handlers.call(command as AppServerSendCommand);
    const text = commandText(command);
    translated(() => send(text));
  }
}
