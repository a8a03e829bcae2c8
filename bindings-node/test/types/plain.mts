/** A program without the types of Node and without further libraries: the package names what it needs. */

import {
  type AppServerClientOptions,
  type AppServerSocketConstructor,
  type AppServerSocketLike,
  type AppServerSocketOptions,
  createAppServerClient,
  type LettaAppError,
} from "@letta/app-client-native";
import { MockServer } from "@letta/app-client-native/testing";

/** Never run: only its types count. */
export async function uses(WebSocket: AppServerSocketConstructor): Promise<LettaAppError[]> {
  const options: AppServerSocketOptions = { headers: { Authorization: "Bearer t" } };
  const mock = await MockServer.start();
  const given: AppServerClientOptions = { url: mock.url, WebSocket };
  const client = createAppServerClient(given);
  const sockets: AppServerSocketLike[] = [
    client.socket,
    client.control,
    new WebSocket("", options),
  ];
  const off: () => void = client.onLagged((dropped: number) => sockets[dropped]?.close());
  off();
  await client[Symbol.asyncDispose]();
  await mock[Symbol.asyncDispose]();
  return [];
}
