/** How clients are made. */

import { AppServerClient } from "./client.js";
import type { AppServerClientOptions, CallOptions } from "./options.js";

/**
 * A client that is not connected yet; `await client.connect()` connects it.
 *
 * @throws {@link InvalidOption} names the option that cannot be used.
 */
export function createAppServerClient(options: AppServerClientOptions): AppServerClient {
  return new AppServerClient(options);
}

/**
 * A connected client, in one step: `await using client = await connect("ws://127.0.0.1:4500")`.
 * Rejects as {@link AppServerClient.connect} does, and with {@link InvalidOption}.
 */
export async function connect(
  target: string | AppServerClientOptions,
  options: CallOptions = {},
): Promise<AppServerClient> {
  const client = new AppServerClient(typeof target === "string" ? { url: target } : target);
  try {
    return await client.connect(options);
  } catch (error) {
    await client.close();
    throw error;
  }
}
