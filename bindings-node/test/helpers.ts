import { once } from "node:events";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import {
  type AppServerClient,
  type AppServerClientOptions,
  connect,
  type InputCreateMessagePayload,
  type RuntimeScope,
} from "@letta/app-client-native";
import {
  MockServer,
  type ScriptedTurn,
  type ScriptOptions,
} from "@letta/app-client-native/testing";
import { onTestFinished } from "vitest";

/** A scripted server that ends with the test. */
export async function startMock(options: ScriptOptions | ScriptedTurn[] = {}): Promise<MockServer> {
  const mock = await MockServer.start(options);
  onTestFinished(() => mock.close());
  return mock;
}

/** A connected client that ends with the test. */
export async function connected(
  mock: MockServer,
  options: Partial<AppServerClientOptions> = {},
): Promise<AppServerClient> {
  const client = await connect({ url: mock.url, settlePauseMs: 0, ...options });
  onTestFinished(() => client.close());
  return client;
}

/** A runtime on the server. */
export async function startRuntime(client: AppServerClient): Promise<RuntimeScope> {
  const { runtime, error } = await client.runtimeStart({ agent_id: "agent-1", mode: "standard" });
  if (!runtime) throw new Error(error ?? "no runtime");
  return runtime;
}

/** A scripted server, a client of it and a runtime. */
export async function prepared(
  script: ScriptOptions | ScriptedTurn[],
  options: Partial<AppServerClientOptions> = {},
) {
  const mock = await startMock(script);
  const client = await connected(mock, options);
  return { mock, client, runtime: await startRuntime(client) };
}

/** How scripted servers of both generations behave, by name. */
export const GENERATIONS: [name: string, script: ScriptOptions][] = [
  ["single", {}],
  ["split", { generation: "split", turnEvents: false, correlation: false }],
];

/** Resolves when the server has begun to write an answer. */
export function firstText(client: AppServerClient): Promise<void> {
  return new Promise((resolve) => {
    client.onMessage((message) => {
      if (message.type === "stream_delta" && message.delta.message_type === "assistant_message") {
        resolve();
      }
    });
  });
}

/** Reads to the end; gives everything. */
export async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** A user message as the payload of an input. */
export function say(content: string): InputCreateMessagePayload {
  return { kind: "create_message", messages: [{ role: "user", content }] };
}

/** A TCP server that treats connections its own way; gives its port. */
export async function rawServer(handle: (socket: net.Socket) => void): Promise<number> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    // A client that is refused may hang up at any moment.
    socket.on("error", () => {});
    handle(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as net.AddressInfo).port;
}

/** Gives what a promise rejects with. */
export async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`resolved with ${JSON.stringify(value)}`);
    },
    (error: unknown) => error,
  );
}

/** Gives what a function throws. */
export function thrown(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

/** Resolves with the first process warning of a type. */
export function nextWarning(name: string): Promise<Error> {
  return new Promise((resolve) => {
    const listen = (warning: Error) => {
      if (warning.name !== name) return;
      process.off("warning", listen);
      resolve(warning);
    };
    process.on("warning", listen);
  });
}

/** The package once more, as a hot reload and Jest load it. */
export function anotherCopy(): typeof import("@letta/app-client-native") {
  const require = createRequire(import.meta.url);
  const entry = require.resolve("@letta/app-client-native");
  const loaded = Object.keys(require.cache).filter((file) => file.startsWith(path.dirname(entry)));
  for (const file of loaded) delete require.cache[file];
  return require("@letta/app-client-native");
}
