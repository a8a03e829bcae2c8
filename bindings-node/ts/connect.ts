/** How clients are made. */

import { AppServerClient } from "./client.js";
import type { AppServerClientOptions, CallOptions } from "./options.js";
import { isReplay, type Replay } from "./recording.js";
import { AppServer } from "./server.js";

/**
 * A client that is not connected yet; `await client.connect()` connects it.
 *
 * @throws {@link InvalidOption} names the option that cannot be used.
 */
export function createAppServerClient(options: AppServerClientOptions): AppServerClient {
  return new AppServerClient(options);
}

function optionsFor(target: string | AppServer | AppServerClientOptions): AppServerClientOptions {
  if (typeof target === "string") return { url: target };
  if (target instanceof AppServer) return { url: target.url, authToken: target.authToken };
  return target;
}

/**
 * A connected client, in one step: `await using client = await connect("ws://127.0.0.1:4500")`, or with
 * a server of one's own from {@link spawnAppServer}, or with a recording in place of one ({@link replay}).
 * Rejects as {@link AppServerClient.connect} does, and with {@link InvalidOption}.
 */
export async function connect(
  target: string | AppServer | AppServerClientOptions | Replay,
  options: CallOptions = {},
): Promise<AppServerClient> {
  const client = isReplay(target)
    ? new AppServerClient({ url: "ws://replay" }, target)
    : new AppServerClient(optionsFor(target));
  try {
    return await client.connect(options);
  } catch (error) {
    await client.close();
    throw error;
  }
}
