/// <reference lib="esnext.disposable" preserve="true" />
/** An App Server of your own: started on loopback, ended with its owner. */

import { checkedObject, checkedOptions, type NamesOf, show, take } from "./checks.js";
import { Bell } from "./doorbell.js";
import { AbortError, errorFromJson, InvalidOption, translated } from "./errors.js";
import {
  type Server as NativeServer,
  type NativeServerOptions,
  ServerEnd,
  ServerStart,
} from "./native.cjs";
import { checkedSignal } from "./options.js";
import { ServerLog } from "./serverlog.js";
import { onAbort } from "./signals.js";

/** How to start a server. */
export interface SpawnOptions {
  /**
   * The program and its arguments, `["letta", "server"]` by default. It is found in `PATH`, and is never a shell's own
   * command.
   */
  command?: string[] | undefined;
  /** The directory that the server runs in; by default this process's. */
  cwd?: string | undefined;
  /**
   * Environment variables, in addition to those of this process; no name may be empty or contain a `=`. One that is
   * `undefined` is left out, so that `{ ...process.env }` can be passed.
   */
  env?: Record<string, string | undefined> | undefined;
  /** Whether clients need a token, which is made for this server; `true` by default. */
  auth?: boolean | undefined;
  /**
   * Whether to join a server that any program of the same user has started with this option, if there is one. While
   * another program is starting it, that is waited for, for `readyTimeoutMs` at most; then one is started that is not
   * shared. A joined server ends with its owner; nothing is told of its end, and its clients connect again.
   */
  reuse?: boolean | undefined;
  /** How long the server may take until it answers, in milliseconds; 30,000 by default. */
  readyTimeoutMs?: number | undefined;
  /** Cancels the start: it rejects with {@link AbortError}, and whatever has been started is ended. */
  signal?: AbortSignal | null | undefined;
  /**
   * Called with each line that the server prints, from its start to its end. If the function throws, that is
   * reported as a process warning and has no other effect. While the program is busy, the last 65,536 lines are
   * kept for it, or as many as fit in 64 MiB; one line in place of the others says how many were dropped. Lines
   * of a joined server do not come here.
   */
  onLog?: ((line: string) => unknown) | undefined;
}

/** How a server has ended. Neither is known of a server that was joined, of whose end nothing is told. */
export interface ServerExit {
  /** The code that it ended with by itself. */
  code: number | null;
  /** The number of the signal that ended it. A code from 129 to 192 stands for a signal too, as in a shell. */
  signal: number | null;
}

/** One wait for the end of a server. */
class Exit {
  readonly #bell = new Bell(() => this.#told());
  #end: ServerEnd | undefined;
  #resolve: (exit: ServerExit) => void = () => {};

  begin(native: NativeServer): Promise<ServerExit> {
    this.#end = this.#bell.hang((doorbell, number) => new ServerEnd(native, doorbell, number));
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  #told(): void {
    const { code = null, signal = null } = this.#end?.exit() ?? {};
    this.#bell.takeDown();
    this.#resolve({ code, signal });
  }
}

/** Marks a server. Another copy of this package, which a program may have as well, has another class. */
const MARK = Symbol.for("@letta/app-client-native.AppServer");

/** Those that are not closed: a server does not end because nobody has kept it. */
const running = new Set<AppServer>();

/** Whether a value is such a server, of this copy of the package or another. */
export function isServer(value: unknown): value is AppServer {
  return typeof value === "object" && value !== null && MARK in value;
}

/**
 * A running server, from {@link spawnAppServer}; pass it to `connect`. It ends when it is closed, and with this
 * process, however the process ends (on Windows only when it exits normally).
 */
export class AppServer {
  readonly #native: NativeServer;
  /** Where it listens: `ws://127.0.0.1:PORT`. */
  readonly url: string;
  /** Whether this is another program's server; closing it here lets that server go on. */
  readonly joined: boolean;
  readonly #token: string | undefined;
  readonly #log: ServerLog | undefined;
  #exited: Promise<ServerExit> | undefined;
  #closed: Promise<void> | undefined;

  /** Made by {@link spawnAppServer}. */
  constructor(native: NativeServer, log?: ServerLog) {
    this.#native = native;
    this.#log = log;
    this.url = native.url();
    this.#token = native.token() ?? undefined;
    this.joined = native.joined();
    Object.defineProperty(this, MARK, { value: true });
    running.add(this);
  }

  /** The token that clients need; it appears in no log or error. */
  get authToken(): string | undefined {
    return this.#token;
  }

  /** The last lines that it printed, the oldest first; also once it is closed. */
  output(): string[] {
    return this.#native.output();
  }

  /**
   * Resolves when the server has ended and its last lines were read, with how: by itself, by a signal, or because it was
   * closed. It never rejects, and does not keep the process alive. Nothing is sent.
   *
   * Of a joined server nothing is told: it resolves, with `null` for both, when that is closed here, while the server may
   * go on.
   */
  get exited(): Promise<ServerExit> {
    this.#exited ??= new Exit().begin(this.#native);
    return this.#exited;
  }

  /** @internal */
  static native(value: unknown): NativeServer | undefined {
    return typeof value === "object" && value !== null && #native in value
      ? value.#native
      : undefined;
  }

  /** Ends the server. Resolves when it has ended, after 5 s at most, and its last lines were logged. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#native.close();
    await this.#log?.ended();
    running.delete(this);
  }

  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const KINDS = {
  cwd: "string",
  auth: "boolean",
  reuse: "boolean",
  readyTimeoutMs: "number",
} as const;

const NAMES: NamesOf<SpawnOptions> = {
  ...KINDS,
  command: "texts",
  env: "texts",
  signal: "signal",
  onLog: "function",
};

/** Half of a pair, which is no Unicode: it would arrive as another character. */
const HALF = /\p{Surrogate}/u;

/**
 * Starts an App Server and resolves when it answers. The command is never a shell's own, and is run with
 * `--listen ws://127.0.0.1:0` and the hash of a token that is made for this server (section 4); then `/readyz`
 * is polled (section 3).
 *
 * Rejects with {@link ServerStartError}, whose message has the end of what the server printed, and with
 * {@link InvalidOption}.
 */
export async function spawnAppServer(options: SpawnOptions = {}): Promise<AppServer> {
  const { signal: given, onLog } = checkedOptions(options, NAMES);
  const signal = checkedSignal(given);
  const native = nativeOptions(options);
  if (signal?.aborted) throw new AbortError(signal.reason);
  const start = translated(() => new ServerStart(native));
  const log = logOf(onLog);
  const detach = signal && onAbort(signal, () => start.stop());
  try {
    const server = await start.run(log?.native);
    if (!signal?.aborted) return new AppServer(server, log);
    await server.close();
    await log?.ended();
  } catch (error) {
    await log?.ended();
    if (!signal?.aborted) throw ours(error);
  } finally {
    detach?.();
  }
  throw new AbortError(signal.reason);
}

/** The options for the engine, once each is of its kind. */
function nativeOptions(options: SpawnOptions): NativeServerOptions {
  const { command, cwd, env = {}, readyTimeoutMs } = options;
  const texts = Array.isArray(command) && command.every((part) => typeof part === "string");
  if (command !== undefined && (!texts || command.length === 0)) {
    const got = Array.isArray(command) && command.length === 0 ? "an empty list" : show(command);
    throw new InvalidOption(`command: expected a list of strings, got ${got}`);
  }
  for (const part of command ?? []) checkWhole("command", part);
  const native: NativeServerOptions = { env: variables(env), auth: true, reuse: false };
  if (command !== undefined) native.command = command;
  take(native, options, KINDS);
  if (typeof cwd === "string") checkWhole("cwd", cwd);
  // Also what is no number at all.
  if (readyTimeoutMs !== undefined && readyTimeoutMs !== null && !(readyTimeoutMs > 0)) {
    throw new InvalidOption(
      `readyTimeoutMs: expected milliseconds above 0, got ${show(readyTimeoutMs)}`,
    );
  }
  return native;
}

/** Names and values, in turn. */
function variables(env: Record<string, string | undefined>): string[] {
  // A map has its entries elsewhere, and would say nothing.
  if (Symbol.iterator in checkedObject("env", env)) {
    throw new InvalidOption(`env: expected an object of names and strings, got ${show(env)}`);
  }
  const given = Object.entries(env).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    if (typeof value !== "string") {
      // Not what it is: it may be a key.
      throw new InvalidOption(`env.${name}: expected a string, got ${typeof value}`);
    }
    checkWhole("env", name);
    checkWhole(`env.${name}`, value);
  }
  return given.flat() as string[];
}

function checkWhole(name: string, text: string): void {
  if (!HALF.test(text)) return;
  throw new InvalidOption(`${name}: the text contains half a surrogate pair, which is not Unicode`);
}

function logOf(onLog: SpawnOptions["onLog"]): ServerLog | undefined {
  if (onLog === undefined || onLog === null) return undefined;
  if (typeof onLog === "function") return new ServerLog(onLog);
  throw new InvalidOption(`onLog: expected a function, got ${show(onLog)}`);
}

/** The engine's errors come as a text; what else can go wrong is passed on as it is. */
function ours(error: unknown): unknown {
  try {
    return errorFromJson((error as Error).message);
  } catch {
    return error;
  }
}
