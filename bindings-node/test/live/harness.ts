/** What the live tests share: a real server, a client of it, an observer that does without the package. */

import {
  type AppServerClient,
  connect,
  type RuntimeScope,
  type RuntimeStartCommand,
} from "@letta/app-client-native";
import { afterAll, beforeAll, onTestFinished } from "vitest";

export const TOKEN = "live-token";

/** The types of what is used of the repository's harness, which is plain JavaScript. */
interface Live {
  info: { url: string; version: string; model: string; cwd: string };
  close(): Promise<void>;
}

interface RawClient {
  send(frame: object): void;
  waitFor(matches: (frame: RawFrame) => boolean): Promise<RawFrame>;
  close(): Promise<void>;
}

interface RawFrame {
  type: string;
  stop_reason?: string;
}

const harness = async <T>(file: string): Promise<T> =>
  import(new URL(`../../../tests/live/${file}`, import.meta.url).href);

/** A server and a client for all tests of a file. */
export class LiveServer {
  #live: Live | undefined;
  #client: AppServerClient | undefined;

  /** To be called at the top of a test file. */
  static forFile(): LiveServer {
    const server = new LiveServer();
    beforeAll(async () => {
      const { startLive } = await harness<{ startLive(options: object): Promise<Live> }>(
        "harness.mjs",
      );
      server.#live = await startLive({ token: TOKEN });
      server.#client = await connect({ url: server.info.url, authToken: TOKEN });
    });
    afterAll(async () => {
      await server.#client?.close();
      await server.#live?.close();
    });
    return server;
  }

  get info(): Live["info"] {
    if (!this.#live) throw new Error("the server is not started");
    return this.#live.info;
  }

  get client(): AppServerClient {
    if (!this.#client) throw new Error("the client is not connected");
    return this.#client;
  }

  /** A new agent with a conversation of its own. */
  async newRuntime(options: Partial<RuntimeStartCommand> = {}): Promise<RuntimeScope> {
    const { runtime, error } = await this.client.runtimeStart({
      create_agent: { body: { model: this.info.model }, pin_global: false },
      cwd: this.info.cwd,
      mode: "standard",
      ...options,
    });
    if (!runtime) throw new Error(error ?? "no runtime");
    return runtime;
  }

  /** A second connection without this package, subscribed to a runtime. */
  async observe(runtime: RuntimeScope) {
    const { TestClient } = await harness<{
      TestClient: { connect(url: string, token: string): Promise<RawClient> };
    }>("testclient.mjs");
    const raw = await TestClient.connect(this.info.url, TOKEN);
    onTestFinished(() => raw.close());
    raw.send({ type: "sync", request_id: "sync-1", runtime });
    await raw.waitFor(({ type }) => type === "sync_response");
    const finished = raw.waitFor(({ type }) => type === "turn_finished");
    return { stopReason: finished.then(({ stop_reason }) => stop_reason) };
  }
}

/** The word that has the scripted model call a tool. */
export const directive = (name: string, input: object) =>
  `TOOL=${name}|${encodeURIComponent(JSON.stringify(input))}`;

/** A command that asks for a permission: it writes a file. */
export const writing = (text: string) =>
  directive("Bash", { command: `echo ${text} | tee turn.txt`, description: "Notes the turn" });

/** Rejects when the time is up first. */
export async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing within ${limitMs} ms`)), limitMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
